"""After every flow no secret is in the log or in the database, and all that was recorded has a German label."""

import logging

import pytest
from sqlalchemy import select

from kmzportal.mail.previews import MAILS
from kmzportal.models import AuditEvent
from kmzportal.services import recovery
from kmzportal.web import cookie
from tests import secret_scan
from tests.browser import TOKEN_KEY
from tests.states import every_state

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def cookie_secrets(backend, scenario, caplog):
    """Walk through all states with the most verbose log, and return the session and CSRF tokens of all cookies."""
    caplog.set_level(logging.DEBUG)
    secrets = set()
    for _, browser in every_state(scenario):
        with browser.client.session_transaction(base_url=browser.site) as session:
            secrets |= {session.get(name) for name in (TOKEN_KEY, "awaits_code", "csrf_token", *cookie.KEPT)}
            secrets.update(session.get(cookie.VISITS, ()))
    with backend.transaction("worker") as tx:
        requests = recovery.unanswered(tx.session)
    for request in requests:
        backend.run(recovery.answer, request, actor="worker")
    return secrets - {None}


def test_all_flows_leave_no_secret_and_no_event_or_mail_without_words(app, backend, scenario, cookie_secrets, caplog):
    with app.app_context():
        secrets = {*cookie_secrets, *secret_scan.SECRETS, *secret_scan.tokens_and_codes()}
    assert len(secrets) > 20
    assert [secret for secret in secrets if secret_scan.contains_secret(secret, caplog.text)] == []
    secret_scan.check(app, *cookie_secrets)

    assert {mail.template for mail in backend.mails()} <= set(MAILS)
    events = backend.read(select(AuditEvent))
    assert len({event.action for event in events}) > 20
    details = {name for event in events for name in event.details} - {"by"}
    assert {"template", "fields", "kind"} <= details
    page = scenario.desk_browser(scenario.rosa).open("/kundenservice/protokoll").text
    assert "E-Mail:" in page and [name for name in details if f"{name}: " in page] == []


def test_an_action_without_a_german_label_is_not_recorded(backend, erika):
    with pytest.raises(KeyError), backend.transaction() as tx:
        tx.record("data.altered", erika)
    assert backend.actions() == []
