"""No secret of any journey stands in the log or in the database."""

import logging

import pytest

from kmzportal.services import recovery
from tests import secret_scan
from tests.browser import TOKEN_KEY
from tests.states import every_state

pytestmark = pytest.mark.usefixtures("clock")


def secrets_of(backend, house):
    """Walk through all states and return what the cookies held on the way; the worker answers what was asked for."""
    seen = set()
    for _, browser in every_state(house):
        with browser.client.session_transaction(base_url=browser.site) as session:
            seen |= {session.get(name) for name in (TOKEN_KEY, "awaits_code", "csrf_token")}
    with backend.transaction("worker") as tx:
        waiting = recovery.unanswered(tx.session)
    for request in waiting:
        backend.run(recovery.answer, request, actor="worker")
    return seen - {None}


def test_no_secret_stands_in_the_log_after_all_journeys(app, backend, house, caplog):
    """The database is looked through after every test; here the log is, at its most talkative."""
    caplog.set_level(logging.DEBUG)
    seen = secrets_of(backend, house)
    with app.app_context():
        seen |= {*secret_scan.SECRETS, *secret_scan.tokens_and_codes()}
    assert len(seen) > 20
    assert [secret for secret in seen if secret_scan.contains_secret(secret, caplog.text)] == []


def test_no_session_and_no_form_token_stands_in_the_database(app, backend, house):
    secret_scan.check(app, *secrets_of(backend, house))
