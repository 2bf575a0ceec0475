"""What somebody who means harm tried once, and gets no more by it."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from kmzportal.domain import passwords
from kmzportal.domain.account_link import LinkKind
from kmzportal.domain.login_session import LoginSession
from kmzportal.domain.passwords import hash_password
from kmzportal.domain.refusals import SessionOver
from kmzportal.services import account, account_link, address, history, login, password, recovery
from kmzportal.web.origin import source
from tests import cast
from tests.browser import Browser

pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.parametrize("portal", ["sqlite"], indirect=True)]
SCHOOL = "198.51.100.7"


def logged_in(app, person):
    browser = Browser(app)
    return browser.open("/anmelden").submit(
        "Anmelden", {"E-Mail-Adresse": person.email, "Passwort": cast.password_of(person)}
    )


def test_the_desks_link_dies_with_the_address_it_went_to(app, deeds, juergen):
    link = deeds.do(account_link.issue, LinkKind.DESK, juergen, juergen.pending_email, "ro", actor="clerk:1")
    stranger = Browser(app).open(f"/link/{deeds.keys.token(link)}")
    logged_in(app, juergen).press("Bisherige Adresse behalten")
    assert stranger.open(f"/konto-link/{link.id}/code").status == 410
    assert juergen.last_name not in stranger.text
    assert deeds.log_in(juergen.email, cast.password_of(juergen))


def test_a_request_that_was_held_open_does_not_outlive_its_session(deeds, erika):
    here = deeds.session_of(deeds.log_in(erika.email, cast.password_of(erika)))
    link = deeds.do(account_link.issue, LinkKind.RECOVERY, erika)
    deeds.do(password.set_by_link, link, cast.NOW, hash_password(cast.NEW_PASSWORD))
    with pytest.raises(SessionOver):
        deeds.do(login.still_here, here)
    assert deeds.read(select(func.count(LoginSession.id)).where(LoginSession.ended_at.is_(None))) == [0]


def test_a_session_that_ends_while_its_form_is_on_the_way_leads_to_the_login(app, deeds, erika, monkeypatch):
    browser = logged_in(app, erika)
    browser.open("/einstellungen/konto").submit("Weiter", {"Aktuelles Passwort": cast.password_of(erika)})
    suits = passwords.refuse_weak

    def meanwhile(*what):
        with deeds.work("console") as work:
            login.end_sessions(work, work.session.merge(erika))
        return suits(*what)

    monkeypatch.setattr(password, "refuse_weak", meanwhile)
    fields = {"Passwort": cast.NEW_PASSWORD, "Wdh. Passwort": cast.NEW_PASSWORD, "Telefon": "07051 4711"}
    browser.submit("Speichern", fields)
    assert browser.heading == "Anmelden"
    assert deeds.log_in(erika.email, cast.password_of(erika))


def test_made_up_addresses_do_not_keep_a_recovered_teacher_out(deeds, erika):
    for number in range(31):
        deeds.log_in(f"niemand{number}@schule.example", "falsch", source=SCHOOL)
    assert deeds.log_in(erika.email, cast.password_of(erika), source=SCHOOL) is None
    link = deeds.do(account_link.issue, LinkKind.RECOVERY, erika)
    deeds.do(password.set_by_link, link, cast.NOW, hash_password(cast.NEW_PASSWORD))
    assert deeds.log_in(erika.email, cast.NEW_PASSWORD, source=SCHOOL)


def test_made_up_addresses_do_not_eat_a_teachers_first_mail(deeds, erika):
    for number in range(25):
        deeds.do(recovery.ask, f"niemand{number}@schule.example", source=SCHOOL)
    deeds.do(recovery.ask, erika.email, source=SCHOOL)
    with deeds.work("worker") as work:
        waiting = recovery.unanswered(work.session)
    for request in waiting:
        deeds.do(recovery.answer, request, actor="worker")
    assert [mail.recipient for mail in deeds.mails()] == [erika.email]


@pytest.mark.parametrize(
    ("seen", "block"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8:1:2:3::4]:443", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("unix:", None),
    ],
)
def test_a_source_is_who_it_is(app, seen, block):
    with app.test_request_context("/", environ_base={"REMOTE_ADDR": seen}):
        assert source() == block


def test_nobody_fills_a_mailbox_by_wanting_its_address(deeds, erika, max_):
    for _ in range(5):
        deeds.do(address.ask_to_change, erika, max_.email)
    assert len([mail for mail in deeds.mails() if mail.recipient == max_.email]) == 1


def test_knocking_does_not_push_the_rest_out_of_view(deeds, erika, clock):
    deeds.do(account.change_data, erika, {"phone": "1"})
    for _ in range(130):
        clock.shift(timedelta(hours=2))
        deeds.log_in(erika.email, "falsch")
    with deeds.work() as work:
        seen = [event.deed for event in history.history(work.session, erika)]
    assert "data.changed" in seen and seen.count("login.refused") + seen.count("login.throttled") == 20


def test_strangers_who_knock_do_not_disturb_the_owner_in_her_session(deeds, erika):
    here = deeds.session_of(deeds.log_in(erika.email, cast.password_of(erika)))
    for _ in range(8):
        deeds.log_in(erika.email, "falsch")
    proof = passwords.prove(cast.password_of(erika), erika.password_hash)
    assert deeds.do(account.prove, erika, here, proof)


def test_the_old_mailbox_does_not_learn_the_new_address(app, deeds, erika):
    deeds.do(address.ask_to_change, erika, "geheim@neue-schule.example")
    objection = deeds.read(erika) and deeds.mails("address_change_asked")[0].link_id
    with deeds.work() as work:
        token = deeds.keys.token(work.session.get(account_link.AccountLink, objection))
    browser = Browser(app).open(f"/link/{token}").press("Das war ich nicht – Konto sperren")
    assert "gesperrt" in browser.heading
    assert "geheim" not in browser.open("/anmelden").answer.text


def test_more_logins_than_can_be_served_are_told_to_wait(app, monkeypatch):
    monkeypatch.setattr(passwords, "_places", threading.BoundedSemaphore(1))
    browser = Browser(app).open("/anmelden")
    with passwords._places:
        browser.submit("Anmelden", {"E-Mail-Adresse": "a@schule.example", "Passwort": "egal"})
    assert (browser.status, browser.answer.headers["Retry-After"]) == (503, "5")
    assert "einige Sekunden" in browser.text


@pytest.mark.parametrize("origin", ["https://evil.example", "http://konto.kmz.example"])
def test_a_browser_without_fetch_metadata_is_known_by_its_origin(app, origin):
    form = {"base_url": app.config["PUBLIC_URL"], "data": {"email": "a@schule.example"}}
    assert app.test_client().post("/anmelden", headers={"Origin": origin}, **form).status_code == 403
    assert app.test_client().post("/anmelden", headers={"Origin": "null"}, **form).status_code == 422
