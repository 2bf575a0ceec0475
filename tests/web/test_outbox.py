"""The Postausgang: plain German words for what became of a mail, a list that renews itself, and no link anywhere."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models.account_link import AccountLink, LinkKind, LinkState
from kmzportal.models.login_session import LoginSession
from kmzportal.models.outgoing_mail import MailState
from kmzportal.services import links
from kmzportal.services.outbox import DeliveryResult
from tests import secret_scan
from tests.answers import GREYLISTED, TAKEN, UNKNOWN
from tests.web.postausgang import PAGE, row

pytestmark = pytest.mark.usefixtures("clock")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "wartet"),
        (TAKEN, "an den Mailserver übergeben 14:05"),
        (UNKNOWN, "abgelehnt: Adresse unbekannt (550)"),
        (DeliveryResult(MailState.BOUNCED), "zurückgekommen"),
        (DeliveryResult(MailState.EXPIRED, reason="Der Link ist abgelaufen."), "abgelaufen: Der Link ist abgelaufen"),
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
def test_the_holders_own_steps_are_seen(desk, backend, queue, erika, kind, done, clock):
    queue(erika, TAKEN, kind)
    clock.shift(timedelta(minutes=4))
    backend.run(links.mark_opened, backend.read(select(AccountLink))[0])
    clock.shift(timedelta(minutes=2))
    backend.run(links.end, erika, LinkState.REDEEMED, {kind})
    assert f"an den Mailserver übergeben 14:05 · Link geöffnet 14:09 · {done} 14:11" in desk.open(PAGE).text


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


def test_older_mails_are_one_click_away(desk, backend, erika):
    def many(tx, person):
        for number in range(51):
            tx.send("password_changed", person, to=f"nummer{number}@schule.example", always=True)

    backend.run(many, erika)
    desk.open(PAGE)
    assert "50 E-Mails" in desk.text and "nummer0@" not in desk.text
    desk.follow("Ältere E-Mails")
    assert "1 E-Mail" in desk.text and "nummer0@" in desk.text
    assert desk.status == 200


def test_the_desk_hears_that_mail_is_disturbed(desk, queue, erika):
    queue(erika)
    assert "Mailversand gestört seit 14:05 Uhr" in desk.open(PAGE).text


def test_a_list_that_renews_itself_keeps_nobody_logged_in(desk, backend, queue, erika, clock):
    queue(erika)
    seen = backend.read(select(LoginSession))[0].last_seen
    clock.shift(timedelta(minutes=10))
    for path in (f"{PAGE}/liste", f"/kundenservice/kunden/{erika.id}/emails/liste"):
        assert desk.client.get(path, base_url=desk.site, headers={"HX-Request": "true"}).status_code == 200
    assert backend.read(select(LoginSession))[0].last_seen == seen
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


def test_neither_link_nor_code_stands_on_any_page_of_mails(app, desk, backend, queue, erika):
    for answer in (None, UNKNOWN, TAKEN, GREYLISTED):
        queue(erika, answer)
    for path in (PAGE, f"/kundenservice/kunden/{erika.id}/emails"):
        text = desk.open(path).answer.text
        with app.app_context():
            assert [
                secret for secret in secret_scan.tokens_and_codes() if secret_scan.contains_secret(secret, text)
            ] == []


def test_hostile_text_is_text(desk, backend, queue, max_):
    with backend.transaction() as tx:
        tx.session.get(type(max_), max_.id).last_name = "<script>alert(1)</script>{{7*7}}"
    queue(max_)
    for path in (PAGE, f"/kundenservice/kunden/{max_.id}/emails"):
        assert "<script>alert(1)</script>{{7*7}}" in desk.open(path).text
        assert "<script>alert" not in desk.answer.text


def test_a_list_that_asks_when_the_session_has_ended_sweeps_nothing_away(desk, clock, erika):
    clock.shift(timedelta(minutes=16))
    for path in ("/kundenservice/postausgang/liste", f"/kundenservice/kunden/{erika.id}/emails/liste"):
        answer = desk.client.get(path, base_url=desk.site, headers={"HX-Request": "true"})
        assert (answer.status_code, answer.headers.get("HX-Redirect")) == (204, None)
