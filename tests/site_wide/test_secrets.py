"""After every flow no secret is in the log or in the database, and all that was recorded has a German label."""

import logging
import re
from email.message import EmailMessage
from textwrap import wrap
from urllib.parse import quote

import pytest
from sqlalchemy import select

from kmzportal.db import db
from kmzportal.mail.compose import compose
from kmzportal.mail.incoming import parse
from kmzportal.mail.previews import MAILS
from kmzportal.models import AuditEvent, CaseEntry, LinkKind, OutgoingMail
from kmzportal.services import desk, recovery, support, support_mail
from kmzportal.web import cookie
from tests import secret_scan
from tests.browser import TOKEN_KEY
from tests.people import NOW
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


QUOTATIONS = {
    "plain": lambda body: body,
    "answered": lambda body: "\n".join(f"> {line}" for line in body.splitlines()),
    "wrapped": lambda body: "\n".join(f">> {part}" for line in body.splitlines() for part in wrap(line, 50) or [""]),
    "as HTML": lambda body: f"<blockquote>{body}</blockquote>",
    "checked by a proxy": lambda body: re.sub(
        r"https?://\S+", lambda url: f"https://sicher.example/?url={quote(url[0], '')}&x=1", body
    ),
}


@pytest.mark.parametrize("quoted", QUOTATIONS.values(), ids=QUOTATIONS)
@pytest.mark.parametrize("way", ["mail", "form"])
def test_a_text_that_quotes_our_mail_brings_no_link_and_no_code_to_the_desk(app, backend, rosa, erika, quoted, way):
    backend.run(desk.send_link, erika, "ro", actor=f"clerk:{rosa.id}", initials="ro")
    backend.run(
        desk.print_letter, erika, erika.version, 0, "callback", "", False, actor=f"clerk:{rosa.id}", initials="ro"
    )
    with app.app_context():
        mail = db.session.scalars(select(OutgoingMail).filter_by(template="desk_link")).one()
        body = compose(mail, backend.keys, app.config, NOW).body
    (letter,) = backend.links(LinkKind.LETTER)
    text = f"Bei mir geht der Link nicht.\n\n{quoted(f'{body} {backend.keys.letter_code(letter)}')}\nV-7KQM-3PAX"
    if way == "mail":
        answer = EmailMessage()
        answer["From"], answer["Subject"] = erika.email, f"AW: /link/{backend.keys.token(mail.link)}"
        answer["Message-ID"] = "<antwort-1@schule.example>"
        answer.set_content(text, subtype="html" if "<blockquote>" in text else "plain")
        backend.run(support_mail.receive, parse(answer.as_bytes(), ""), actor="worker")
    else:
        backend.run(support.open_by_form, "p", True, "other", erika.email, text, False, {}, source="192.0.2.7")
    (entry,) = backend.read(select(CaseEntry))
    assert "Bei mir geht der Link nicht." in entry.text and "V-7KQM-3PAX" in entry.text
    assert entry.text.count("(entfernt)") >= 3
    secret_scan.check(app)
