"""The Postausgang: plain German words for what became of a mail, one click to send it again, and no link anywhere."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.domain.account_link import AccountLink, LinkKind, LinkState
from kmzportal.domain.audit_event import AuditEvent
from kmzportal.domain.login_session import LoginSession
from kmzportal.domain.outgoing_mail import MailState, OutgoingMail
from kmzportal.services import account_link, outbox
from kmzportal.services.outbox import Answer
from tests import canary

pytestmark = [
    pytest.mark.usefixtures("clock", "portal"),
    pytest.mark.parametrize("portal", ["sqlite"], indirect=True),  # what the databases differ in, services prove
]

PAGE = "/kundenservice/postausgang"
UNKNOWN = Answer(MailState.REFUSED, 550, "Adresse unbekannt")
TAKEN = Answer(MailState.SENT, 250)
GREYLISTED = Answer(MailState.DEFERRED, 450, "Der Mailserver nimmt die E-Mail gerade nicht an")


@pytest.fixture
def queue(deeds):
    """Mail somebody a link, and let the mail server answer."""

    def queue(person, answer=None, kind=LinkKind.DESK):
        link = deeds.issue(kind, person)
        [mail] = deeds.read(select(OutgoingMail).where(OutgoingMail.link_id == link.id))
        if answer:
            claimed = deeds.do(outbox.claim, mail.id)
            deeds.do(outbox.settle, mail.id, claimed.leased_until, answer)
        return mail

    return queue


def row(desk):
    """Return the words of the only mail on the page."""
    [words] = ["".join(one.itertext()) for one in desk.page.iter("tr") if one.get("id", "").startswith("mail-")]
    return " ".join(words.split())


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "wartet"),
        (TAKEN, "an den Mailserver übergeben 14:05"),
        (UNKNOWN, "abgelehnt: Adresse unbekannt (550)"),
        (Answer(MailState.BOUNCED), "zurückgekommen"),
        (Answer(MailState.EXPIRED, reason="Der Link ist abgelaufen."), "abgelaufen: Der Link ist abgelaufen"),
    ],
)
def test_each_state_has_its_words(desk, queue, erika, answer, words):
    queue(erika, answer)
    desk.open(PAGE)
    assert desk.heading == "Postausgang"
    assert "1 E-Mail" in desk.text
    assert row(desk).startswith(f"14:05 Ihr Link zum Konto {erika.email} {erika.name} ({erika.number}) {words}")


def test_a_later_try_says_when_and_why(desk, queue, erika):
    queue(erika, GREYLISTED)
    assert "später erneut 14:06 (450) · Der Mailserver nimmt die E-Mail gerade nicht an" in desk.open(PAGE).text


@pytest.mark.parametrize(
    ("kind", "done"),
    [
        (LinkKind.DESK, "Passwort gesetzt"),
        (LinkKind.ADDRESS, "Adresse bestätigt"),
    ],
)
def test_the_holders_own_steps_are_seen(desk, deeds, queue, erika, kind, done, clock):
    queue(erika, TAKEN, kind)
    clock.shift(timedelta(minutes=4))
    deeds.do(account_link.open_link, deeds.read(select(AccountLink))[0])
    clock.shift(timedelta(minutes=2))
    deeds.do(account_link.end, erika, LinkState.REDEEMED, {kind})
    assert f"an den Mailserver übergeben 14:05 · Link geöffnet 14:09 · {done} 14:11" in desk.open(PAGE).text


def test_a_refused_mail_goes_out_again_with_one_click(desk, deeds, queue, erika, rosa):
    mail = queue(erika, UNKNOWN)
    desk.open(PAGE).press("Erneut senden")
    assert f"Die E-Mail an {erika.email} geht gleich noch einmal hinaus." in desk.text
    assert "wartet" in row(desk)
    assert deeds.read(mail).state == MailState.QUEUED
    [event] = deeds.read(select(AuditEvent).where(AuditEvent.deed == "mail.retried"))
    assert (event.actor, event.details["by"]) == (f"clerk:{rosa.id}", "ro")


def test_the_filter_stays_when_a_mail_was_sent_again(desk, queue, erika, max_):
    queue(erika, UNKNOWN)
    queue(max_, TAKEN)
    desk.open(f"{PAGE}?zustand=abgelehnt")
    assert max_.email not in desk.text
    desk.press("Erneut senden")
    assert "Keine E-Mails" in desk.text
    assert desk.value("Zustand") == "abgelehnt"


def test_the_filter_is_a_form_that_asks(desk, queue, erika, max_):
    queue(erika, UNKNOWN)
    queue(max_, TAKEN)
    desk.open(PAGE).choose("Zustand", "abgelehnt").press("Anzeigen")
    assert erika.email in desk.text and max_.email not in desk.text


@pytest.mark.parametrize(
    "wanted", ["zustand=gibtsnicht", "vor=x", "vor=0", "vor=-1", f"vor={'9' * 30}", "vor=2147483648"]
)
def test_a_filter_nobody_offers_is_none(desk, queue, erika, wanted):
    queue(erika)
    assert erika.email in desk.open(f"{PAGE}?{wanted}").text


def test_a_link_that_died_meanwhile_says_so(desk, deeds, queue, erika):
    queue(erika, UNKNOWN)
    desk.open(PAGE)
    deeds.do(account_link.end, erika, LinkState.WITHDRAWN, {LinkKind.DESK})
    desk.press("Erneut senden")
    assert desk.status == 422
    assert "Der Link wurde zurückgezogen. Senden Sie einen neuen." in desk.text
    assert "Erneut senden" not in [one.text for one in desk.page.iter("button")]


def test_all_go_out_with_one_click(desk, deeds, queue, erika, max_):
    queue(erika, UNKNOWN)
    queue(max_, UNKNOWN)
    desk.open(PAGE).press("Alle verzögerten und abgelehnten erneut senden")
    assert "2 E-Mails gehen gleich noch einmal hinaus." in desk.text
    desk.press("Alle verzögerten und abgelehnten erneut senden")
    assert "Es gibt nichts erneut zu senden." in desk.text


def test_from_an_old_page_it_takes_a_second_click(desk, deeds, queue, erika):
    mail = queue(erika, UNKNOWN)
    desk.open(PAGE)
    for field in desk.page.iter("input"):
        if field.get("name") == "csrf_token":
            field.set("value", "veraltet")
    desk.press("Erneut senden")
    assert desk.status == 422
    assert deeds.read(mail).state == MailState.REFUSED
    desk.press("Erneut senden")
    assert deeds.read(mail).state == MailState.QUEUED


@pytest.mark.parametrize("number", ["0", "4711", "2147483648", "9" * 30, "-1", "x", "1%00"])
def test_a_mail_and_a_customer_that_are_none_are_not_found(desk, number, erika):
    desk.open(PAGE)
    token = next(one.get("value") for one in desk.page.iter("input") if one.get("name") == "csrf_token")
    answer = desk.client.post(f"{PAGE}/{number}/erneut-senden", data={"csrf_token": token}, base_url=desk.site)
    assert answer.status_code == 404
    assert desk.open(f"/kundenservice/kunden/{number}/emails").status == 404


def test_the_mails_of_one_customer_and_back_to_them_after_a_click(desk, queue, erika, max_):
    queue(max_, UNKNOWN)
    queue(erika, UNKNOWN)
    desk.open(f"/kundenservice/kunden/{erika.id}/emails")
    assert desk.heading == "E-Mails an Erika Mustermann"
    assert max_.email not in desk.text
    desk.press("Erneut senden")
    assert desk.heading == "E-Mails an Erika Mustermann"
    assert "geht gleich noch einmal hinaus" in desk.text and "wartet" in row(desk)


def test_older_mails_are_one_click_away(desk, deeds, erika):
    def many(work, person):
        for number in range(51):
            work.send("password_changed", person, to=f"nummer{number}@schule.example", always=True)

    deeds.do(many, erika)
    desk.open(PAGE)
    assert "50 E-Mails" in desk.text and "nummer0@" not in desk.text
    desk.follow("Ältere E-Mails")
    assert "1 E-Mail" in desk.text and "nummer0@" in desk.text
    assert desk.status == 200


def test_the_desk_hears_that_mail_is_disturbed(desk, queue, erika):
    queue(erika)
    assert "Mailversand gestört seit 14:05 Uhr" in desk.open(PAGE).text


def test_a_list_that_renews_itself_keeps_nobody_logged_in(desk, deeds, queue, erika, clock):
    queue(erika)
    seen = deeds.read(select(LoginSession))[0].last_seen
    clock.shift(timedelta(minutes=10))
    for path in (f"{PAGE}/liste", f"/kundenservice/kunden/{erika.id}/emails/liste"):
        assert desk.client.get(path, base_url=desk.site, headers={"HX-Request": "true"}).status_code == 200
    assert deeds.read(select(LoginSession))[0].last_seen == seen
    clock.shift(timedelta(minutes=6))
    assert desk.open(PAGE).heading == "Anmelden im Kundenservice"


def test_what_renews_itself_is_the_list_that_is_shown(desk, queue, erika, max_):
    queue(erika, UNKNOWN)
    queue(max_)
    desk.open(f"{PAGE}?zustand=abgelehnt")
    [lists] = [one for one in desk.page.iter() if one.get("hx-trigger") == "every 3s"]
    answer = desk.client.get(lists.get("hx-get"), base_url=desk.site, headers={"HX-Request": "true"})
    assert erika.email in answer.text and max_.email not in answer.text
    assert f'id="{lists.get("hx-select")[1:]}"' in answer.text


def test_neither_link_nor_code_stands_on_any_page_of_mails(app, desk, deeds, queue, erika):
    for answer in (None, UNKNOWN, TAKEN, GREYLISTED):
        queue(erika, answer)
    for path in (PAGE, f"/kundenservice/kunden/{erika.id}/emails"):
        text = desk.open(path).answer.text
        with app.app_context():
            assert [secret for secret in canary.tokens_and_codes() if canary.sings(secret, text)] == []


def test_hostile_text_is_text(desk, deeds, queue, max_):
    with deeds.work() as work:
        work.session.get(type(max_), max_.id).last_name = "<script>alert(1)</script>{{7*7}}"
    queue(max_)
    for path in (PAGE, f"/kundenservice/kunden/{max_.id}/emails"):
        assert "<script>alert(1)</script>{{7*7}}" in desk.open(path).text
        assert "<script>alert" not in desk.answer.text


def test_a_list_that_asks_when_the_session_has_ended_sweeps_nothing_away(desk, clock, erika):
    clock.shift(timedelta(minutes=16))
    for path in ("/kundenservice/postausgang/liste", f"/kundenservice/kunden/{erika.id}/emails/liste"):
        answer = desk.client.get(path, base_url=desk.site, headers={"HX-Request": "true"})
        assert (answer.status_code, answer.headers.get("HX-Redirect")) == (204, None)
