"""What somebody who means harm tried once, and gets no more by it."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from kmzportal.models.account_link import LinkKind
from kmzportal.models.login_session import LoginSession
from kmzportal.services import accounts, audit, links, passwords, recovery, sessions
from kmzportal.services.passwords import hash_password
from kmzportal.services.refusals import SessionOver
from kmzportal.web.auth import source
from tests import people
from tests.browser import Browser

pytestmark = pytest.mark.usefixtures("clock")
SCHOOL = "198.51.100.7"


def logged_in(app, person):
    browser = Browser(app)
    return browser.open("/anmelden").submit(
        "Anmelden", {"E-Mail-Adresse": person.email, "Passwort": people.password_of(person)}
    )


def test_the_desks_link_dies_with_the_address_it_went_to(app, backend, juergen):
    link = backend.run(links.issue, LinkKind.DESK, juergen, juergen.pending_email, "ro", actor="clerk:1")
    stranger = Browser(app).open(f"/link/{backend.keys.token(link)}")
    logged_in(app, juergen).press("Bisherige Adresse behalten")
    assert stranger.open(f"/konto-link/{link.id}/code").status == 410
    assert juergen.last_name not in stranger.text
    assert backend.log_in(juergen.email, people.password_of(juergen))


def test_a_request_that_was_held_open_does_not_outlive_its_session(backend, erika):
    login_session = backend.session_of(backend.log_in(erika.email, people.password_of(erika)))
    link = backend.run(links.issue, LinkKind.RECOVERY, erika)
    backend.run(accounts.set_password_by_link, link, people.NOW, hash_password(people.NEW_PASSWORD))
    with pytest.raises(SessionOver):
        backend.run(sessions.ensure_alive, login_session)
    assert backend.read(select(func.count(LoginSession.id)).where(LoginSession.ended_at.is_(None))) == [0]


def test_a_session_that_ends_while_its_form_is_on_the_way_leads_to_the_login(app, backend, erika, monkeypatch):
    browser = logged_in(app, erika)
    browser.open("/einstellungen/konto").submit("Weiter", {"Aktuelles Passwort": people.password_of(erika)})
    suits = passwords.check_strength

    def meanwhile(*what):
        with backend.transaction("console") as tx:
            sessions.end_all(tx, tx.session.merge(erika))
        return suits(*what)

    monkeypatch.setattr(passwords, "check_strength", meanwhile)
    fields = {"Passwort": people.NEW_PASSWORD, "Wdh. Passwort": people.NEW_PASSWORD, "Telefon": "07051 4711"}
    browser.submit("Speichern", fields)
    assert browser.heading == "Anmelden"
    assert backend.log_in(erika.email, people.password_of(erika))


def test_made_up_addresses_do_not_keep_a_recovered_teacher_out(backend, erika):
    for number in range(31):
        backend.log_in(f"niemand{number}@schule.example", "falsch", source=SCHOOL)
    assert backend.log_in(erika.email, people.password_of(erika), source=SCHOOL) is None
    link = backend.run(links.issue, LinkKind.RECOVERY, erika)
    backend.run(accounts.set_password_by_link, link, people.NOW, hash_password(people.NEW_PASSWORD))
    assert backend.log_in(erika.email, people.NEW_PASSWORD, source=SCHOOL)


def test_made_up_addresses_do_not_eat_a_teachers_first_mail(backend, erika):
    for number in range(25):
        backend.run(recovery.request_link, f"niemand{number}@schule.example", source=SCHOOL)
    backend.run(recovery.request_link, erika.email, source=SCHOOL)
    with backend.transaction("worker") as tx:
        waiting = recovery.unanswered(tx.session)
    for request in waiting:
        backend.run(recovery.answer, request, actor="worker")
    assert [mail.recipient for mail in backend.mails()] == [erika.email]


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


def test_nobody_fills_a_mailbox_by_wanting_its_address(backend, erika, max_):
    for _ in range(5):
        backend.run(accounts.request_address_change, erika, max_.email)
    assert len([mail for mail in backend.mails() if mail.recipient == max_.email]) == 1


def test_knocking_does_not_push_the_rest_out_of_view(backend, erika, clock):
    backend.run(accounts.change_data, erika, {"phone": "1"})
    for _ in range(130):
        clock.shift(timedelta(hours=2))
        backend.log_in(erika.email, "falsch")
    with backend.transaction() as tx:
        seen = [event.action for event in audit.history(tx.session, erika)]
    assert "data.changed" in seen and seen.count("login.refused") + seen.count("login.throttled") == 20


def test_strangers_who_knock_do_not_disturb_the_owner_in_her_session(backend, erika):
    login_session = backend.session_of(backend.log_in(erika.email, people.password_of(erika)))
    for _ in range(8):
        backend.log_in(erika.email, "falsch")
    proof = passwords.check_password(people.password_of(erika), erika.password_hash)
    assert backend.run(accounts.check_current_password, erika, login_session, proof)


def test_the_old_mailbox_does_not_learn_the_new_address(app, backend, erika):
    backend.run(accounts.request_address_change, erika, "geheim@neue-schule.example")
    objection = backend.read(erika) and backend.mails("address_change_asked")[0].link_id
    with backend.transaction() as tx:
        token = backend.keys.token(tx.session.get(links.AccountLink, objection))
    browser = Browser(app).open(f"/link/{token}").press("Das war ich nicht – Konto sperren")
    assert "gesperrt" in browser.heading
    assert "geheim" not in browser.open("/anmelden").answer.text


def test_more_logins_than_can_be_served_are_told_to_wait(app, monkeypatch):
    monkeypatch.setattr(passwords, "_slots", threading.BoundedSemaphore(1))
    browser = Browser(app).open("/anmelden")
    with passwords._slots:
        browser.submit("Anmelden", {"E-Mail-Adresse": "a@schule.example", "Passwort": "egal"})
    assert (browser.status, browser.answer.headers["Retry-After"]) == (503, "5")
    assert "einige Sekunden" in browser.text


@pytest.mark.parametrize("origin", ["https://evil.example", "http://konto.kmz.example"])
def test_a_browser_without_fetch_metadata_is_known_by_its_origin(app, origin):
    form = {"base_url": app.config["PUBLIC_URL"], "data": {"email": "a@schule.example"}}
    assert app.test_client().post("/anmelden", headers={"Origin": origin}, **form).status_code == 403
    assert app.test_client().post("/anmelden", headers={"Origin": "null"}, **form).status_code == 422
