"""Postausgang: German words for the state of each mail, a list that is polled, and a button to send mails again."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from kmzportal.mail.previews import MAILS
from kmzportal.models import (
    ACTIONS,
    AccountLink,
    AuditEvent,
    Customer,
    LinkKind,
    LinkState,
    LoginSession,
    MailState,
    OutgoingMail,
)
from kmzportal.services import links
from kmzportal.services.outbox import DeliveryResult
from tests import secret_scan
from tests.answers import GREYLISTED, TAKEN, UNKNOWN
from tests.browser import HTMX, Browser, parse, words

pytestmark = pytest.mark.usefixtures("clock")

PAGE = "/kundenservice/postausgang"
ALL_AGAIN = "Alle verzögerten und abgelehnten erneut senden (2)"


def row(desk):
    """Return the text of the only mail on the page."""
    [mail] = [words(one) for one in desk.page.iter("tr") if one.get("id", "").startswith("mail-")]
    return mail


def test_every_mail_and_every_event_is_shown_on_all_pages_that_list_it(desk, backend, erika, prove):
    """One that is not would keep the desk from the page of its customer, and admins from the audit."""
    prove()
    with backend.transaction() as tx:
        customer = tx.session.get(Customer, erika.id)
        for template in MAILS:
            mail = tx.send("password_changed", customer, always=True)
            tx.session.flush()
            tx.session.execute(update(OutgoingMail).where(OutgoingMail.id == mail.id).values(template=template))
            tx.record("mail.refused", customer, template=template, code=550)
        for action in ACTIONS:
            tx.record(action, customer)
    customers = Browser(backend.app).log_in(erika)
    of_erika = f"/kundenservice/kunden/{erika.id}"
    for page in (PAGE, of_erika, f"{of_erika}/emails", "/kundenservice/protokoll", "/kundenservice"):
        assert desk.open(page).status == 200, page
    for page in ("/einstellungen/verlauf", "/einstellungen/daten"):
        assert customers.open(page).status == 200, page


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (None, "wartet"),
        (TAKEN, "an den Mailserver übergeben 14:05"),
        (UNKNOWN, "abgelehnt: Adresse unbekannt (550)"),
        (GREYLISTED, "später erneut 14:06 (450) · Der Mailserver nimmt die E-Mail gerade nicht an"),
        (DeliveryResult(MailState.BOUNCED), "zurückgekommen"),
        (DeliveryResult(MailState.EXPIRED, reason="Der Link ist abgelaufen."), "abgelaufen: Der Link ist abgelaufen"),
    ],
)
def test_each_state_is_described(desk, queue, erika, answer, state):
    queue(erika, answer)
    desk.open(PAGE)
    assert (desk.heading, "1 E-Mail" in desk.text) == ("Postausgang", True)
    assert row(desk).startswith(f"{erika.email} {erika.name} ({erika.number}) Ihr Link zum Konto, 14:05 {state}")


@pytest.mark.parametrize(
    ("kind", "done"), [(LinkKind.DESK, "Passwort gesetzt"), (LinkKind.ADDRESS, "Adresse bestätigt")]
)
def test_opening_and_using_the_link_is_shown_at_its_mail(desk, backend, queue, erika, kind, done, clock):
    queue(erika, TAKEN, kind)
    clock.shift(timedelta(minutes=4))
    backend.run(links.mark_opened, backend.read(select(AccountLink))[0])
    clock.shift(timedelta(minutes=2))
    backend.run(links.end, erika, LinkState.REDEEMED, {kind})
    assert f"an den Mailserver übergeben 14:05 · Link geöffnet 14:09 · {done} 14:11" in desk.open(PAGE).text


@pytest.mark.parametrize(
    "query", ["zustand=gibtsnicht", "vor=x", "vor=0", "vor=-1", f"vor={'9' * 30}", "vor=2147483648"]
)
def test_an_unknown_filter_is_ignored(desk, queue, erika, query):
    queue(erika)
    assert erika.email in desk.open(f"{PAGE}?{query}").text


def test_older_mails_are_on_the_next_page_which_is_not_polled(desk, backend, erika, prove):
    def many(tx, person):
        for number in range(51):
            tx.send("password_changed", person, to=f"nummer{number}@schule.example", always=True)

    backend.run(many, erika)
    desk.open(PAGE)
    assert "50 E-Mails" in desk.text and "nummer0@" not in desk.text
    assert "hx-get" in desk.page.get_element_by_id("outbox-list").attrib
    prove()
    desk.follow("Ältere E-Mails")
    assert "1 E-Mail" in desk.text and "nummer0@" in desk.text
    assert "hx-get" not in desk.page.get_element_by_id("outbox-list").attrib


def test_polling_keeps_no_session_alive_and_after_its_end_changes_nothing(desk, backend, queue, erika, clock):
    queue(erika)
    seen = backend.read(select(LoginSession))[0].last_seen

    def poll():
        paths = (f"{PAGE}/liste", f"/kundenservice/kunden/{erika.id}/emails/liste")
        answers = [desk.client.get(path, base_url=desk.site, headers=HTMX) for path in paths]
        return [(answer.status_code, answer.headers.get("HX-Redirect")) for answer in answers]

    clock.shift(timedelta(minutes=10))
    assert poll() == [(200, None)] * 2
    assert backend.read(select(LoginSession))[0].last_seen == seen
    clock.shift(timedelta(minutes=6))
    assert poll() == [(204, None)] * 2
    assert desk.open(PAGE).heading == "Anmelden im Kundenservice"


def test_the_polled_list_has_the_filter_of_the_page(desk, queue, erika, max_):
    queue(erika, UNKNOWN)
    queue(max_)
    desk.open(PAGE).choose("Zustand", "abgelehnt").press("Anzeigen")
    assert erika.email in desk.text and max_.email not in desk.text
    [polled] = [one for one in desk.page.iter() if one.get("hx-trigger") == "every 3s"]
    answer = desk.client.get(polled.get("hx-get"), base_url=desk.site, headers=HTMX)
    shown = words(parse(answer.text))
    assert erika.email in shown and max_.email not in shown
    assert f'id="{polled.get("hx-select")[1:]}"' in answer.text


def test_no_page_of_mails_contains_a_link_or_a_code_but_the_start_of_an_outage(app, desk, queue, erika):
    for answer in (None, UNKNOWN, TAKEN, GREYLISTED):
        queue(erika, answer)
    with app.app_context():
        secrets = list(secret_scan.tokens_and_codes())
    assert secrets
    for path in (PAGE, f"/kundenservice/kunden/{erika.id}/emails", f"/kundenservice/kunden/{erika.id}"):
        assert "Mailversand gestört seit 14:05 Uhr" in desk.open(path).text
        assert [secret for secret in secrets if secret_scan.contains_secret(secret, desk.answer.text)] == []


def test_hostile_names_are_escaped(desk, backend, queue, max_):
    backend.update(max_, last_name="<script>alert(1)</script>{{7*7}}")
    queue(max_)
    for path in (PAGE, f"/kundenservice/kunden/{max_.id}/emails"):
        assert "<script>alert(1)</script>{{7*7}}" in desk.open(path).text
        assert "<script>alert" not in desk.answer.text


# Send again


def test_a_refused_mail_is_queued_again_and_the_filter_stays(desk, backend, queue, erika, rosa):
    mail = queue(erika, UNKNOWN)
    desk.open(f"{PAGE}?zustand=abgelehnt").stale().press("Erneut senden")
    assert (desk.status, backend.read(mail).state) == (422, MailState.REFUSED)
    desk.press("Erneut senden")
    assert f"Die E-Mail an {erika.email} wird gleich noch einmal gesendet." in desk.text
    assert "Keine E-Mails" in desk.text and desk.value("Zustand") == "abgelehnt"
    assert "wartet" in row(desk.open(PAGE))
    [event] = backend.read(select(AuditEvent).where(AuditEvent.action == "mail.retried"))
    assert (event.actor, event.details["by"]) == (f"clerk:{rosa.id}", "ro")


@pytest.mark.parametrize("path", [PAGE, "/kundenservice/kunden/{}/emails"])
def test_a_mail_whose_link_ended_is_not_sent_again(desk, backend, queue, erika, path):
    queue(erika, UNKNOWN)
    desk.open(path.format(erika.id))
    backend.run(links.end, erika, LinkState.WITHDRAWN, {LinkKind.DESK})
    desk.press("Erneut senden")
    assert desk.status == 422
    assert "Der Link wurde zurückgezogen. Senden Sie einen neuen." in desk.text
    assert "Erneut senden" not in [words(one) for one in desk.page.iter("button")]


def test_all_delayed_and_refused_mails_are_queued_again(desk, backend, queue, erika, max_):
    mails = [queue(erika, UNKNOWN), queue(max_, UNKNOWN)]
    desk.open(PAGE).stale().press(ALL_AGAIN)
    assert (desk.status, {backend.read(mail).state for mail in mails}) == (422, {MailState.REFUSED})
    assert "2 E-Mails werden gleich noch einmal gesendet." in desk.press(ALL_AGAIN).text
    assert "Alle verzögerten" not in desk.text, "there is nothing to send again"
    assert desk.post(f"{PAGE}/alle-erneut-senden").status_code == 303
    assert "Es gibt nichts erneut zu senden." in desk.open(PAGE).text


@pytest.mark.parametrize("number", ["0", "4711", "2147483648", "9" * 30, "-1", "x", "1%00"])
def test_an_unknown_mail_or_customer_is_not_found(desk, number):
    assert desk.open(PAGE).post(f"{PAGE}/{number}/erneut-senden").status_code == 404
    assert desk.open(f"/kundenservice/kunden/{number}/emails").status == 404


def test_a_mail_is_queued_again_from_the_page_of_its_customer(desk, queue, erika, max_):
    queue(max_, UNKNOWN)
    queue(erika, UNKNOWN)
    desk.open(f"/kundenservice/kunden/{erika.id}/emails")
    assert max_.email not in desk.text
    desk.press("Erneut senden")
    assert desk.heading == "E-Mails an Erika Mustermann"
    assert "wird gleich noch einmal gesendet" in desk.text and "wartet" in row(desk)
