"""The first page of the demo, and its mailbox, from which a stranger can write to the office."""

import pytest
from sqlalchemy import select

from kmzportal.mail.delivery import deliver_due
from kmzportal.models import AuditEvent, CaseState, Customer, MailState, OutgoingMail, SupportCase
from kmzportal.server import sample_people
from kmzportal.services import support
from tests import people
from tests.backend import Backend
from tests.browser import Browser
from tests.site_wide.test_pages import check_page

pytestmark = pytest.mark.usefixtures("clock")
WRITE = "/demo/postfach/schreiben"
MAIL = {
    "Von": "erika.privat@web.example",
    "Betreff": "Zugangsdaten für edupool",
    "Text": "Benötige neue Zugangsdaten für edupool.\n\nErika Mustermann\n\0",
}


@pytest.fixture
def demo(build_portal):
    return build_portal(DEMO=True)


@pytest.fixture
def visitor(demo):
    return Browser(demo).open("/demo/postfach")


@pytest.fixture
def cases(demo):
    """Return all cases with the texts of their entries."""

    def cases():
        with Backend(demo).transaction() as tx:
            found = tx.session.scalars(select(SupportCase))
            return [(case, [(one.kind, one.text) for one in case.entries]) for case in found]

    return cases


def test_the_first_page_leads_three_people_through_the_portal(visitor, demo):
    Backend(demo).run(sample_people.enter)
    visitor.follow("Rundgang")
    check_page(visitor.page, "rundgang")
    for person in (people.ERIKA, people.TIM, people.ROSA, people.LIESELOTTE):
        assert person["email"] in visitor.text
        assert people.PASSWORDS[person.get("number") or person["initials"]] in visitor.text
    assert people.ANNELIESE["last_name"] in visitor.text
    for link in {one.get("href") for one in visitor.page.iter("a")}:
        assert link.startswith(("#", "mailto:", "tel:", "http")) or visitor.open(link).status == 200
    visitor.open("/demo").follow("Passwort vergessen?").submit("Link anfordern", {"E-Mail-Adresse": "a@schule.example"})
    assert visitor.path == "/passwort-vergessen/gesendet"


def test_mails_are_given_to_the_mailbox_and_nothing_lies_in_the_future(visitor, demo, clock):
    backend = Backend(demo)
    backend.run(sample_people.enter)
    with demo.app_context():
        assert deliver_due() > 0
    with backend.transaction() as tx:
        mails = tx.session.scalars(select(OutgoingMail)).all()
        states = {mail.state for mail in mails}
        assert states == {MailState.SENT, MailState.DEFERRED, MailState.REFUSED, MailState.BOUNCED}
        assert all(mail.settled_at <= tx.now for mail in mails if mail.state != MailState.DEFERRED)
        assert all(customer.created_at < tx.now for customer in tx.session.scalars(select(Customer)))
        [event] = tx.session.scalars(select(AuditEvent).where(AuditEvent.action == "account.locked"))
        assert tx.session.get(Customer, event.customer_id).locked_at == event.at and event.details["why"]
    assert "an den Mailserver übergeben" in visitor.open("/demo/postfach").text


@pytest.mark.parametrize("page", ["", "/html", "/antworten"])
def test_a_number_too_large_for_the_database_is_not_found(visitor, page):
    assert visitor.open(f"/demo/postfach/{'9' * 30}{page}").status == 404


def test_a_mail_becomes_a_case_and_its_receipt_can_be_answered(visitor, demo, cases):
    visitor.follow("E-Mail an den Kundenservice schreiben")
    check_page(visitor.page, "schreiben")
    assert "Als Rosa anmelden und Anfragen öffnen" in visitor.text
    visitor.submit("Senden", MAIL)
    assert "Ihre E-Mail ist angekommen. Im Kundenservice liegt sie unter Anfragen." in visitor.text
    [(case, entries)] = cases()
    assert (case.channel, case.email, case.email_proven) == ("mail", MAIL["Von"], True)
    assert entries == [
        ("received", f"{MAIL['Betreff']}\n\nBenötige neue Zugangsdaten für edupool.\n\nErika Mustermann")
    ]
    check_page(visitor.page, "postfach")

    office = demo.config["OFFICE_NAME"]
    visitor.follow(f"Ihre Anfrage {case.reference} – {office}").follow("Antworten")
    assert (visitor.value("Von"), visitor.value("Betreff")) == (
        MAIL["Von"],
        f"AW: Ihre Anfrage {case.reference} – {office}",
    )
    Backend(demo).run(support.ask_back, case, "Welche Schule?")
    visitor.submit("Senden", {"Betreff": "", "Text": "GMS Musterstadt"})  # assigned by In-Reply-To alone
    assert "Ihre Antwort ist angekommen." in visitor.text
    [(case, entries)] = cases()
    assert (case.state, entries[-1]) == (CaseState.OPEN, ("reply", "GMS Musterstadt"))


def test_a_refused_mail_keeps_the_input_and_opens_no_case(visitor, cases):
    typed = {"Von": "erika", "Betreff": "x" * 201, "Text": "Zeile 1\nZeile 2"}
    visitor.open(WRITE).submit("Senden", typed)
    assert visitor.status == 422 and {label: visitor.value(label) for label in typed} == typed
    assert "keine vollständige E-Mail-Adresse" in visitor.text and "bis zu 200 Zeichen" in visitor.text
    visitor.submit("Senden", {"Text": " "})
    assert visitor.status == 422 and "Schreiben Sie den Text." in visitor.text
    check_page(visitor.page, "abgewiesen")
    visitor.stale().submit("Senden", MAIL)
    assert visitor.status == 422 and visitor.value("Betreff") == MAIL["Betreff"]
    assert cases() == []


@pytest.mark.parametrize(
    ("sender", "number"), [("postmaster@web.example", 0), (f"{'e' * 64}@{'schule.' * 25}example", 1)]
)
def test_a_program_opens_no_case_and_a_long_address_does(visitor, cases, sender, number):
    visitor.open(WRITE).submit("Senden", MAIL | {"Von": sender})
    assert ("hat aber keine Folge" in visitor.text, [case.email for case, _ in cases()]) == (
        not number,
        [sender][:number],
    )
