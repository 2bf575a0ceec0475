"""The current password opens Konto anpassen for ten minutes, and who guesses it waits."""

from datetime import timedelta

import pytest

from kmzportal.services import accounts
from kmzportal.services.passwords import check_password
from tests import people

pytestmark = pytest.mark.usefixtures("clock")


def proof(person, text=None):
    return check_password(text or people.password_of(person), person.password_hash)


def test_the_current_password_opens_konto_anpassen_for_ten_minutes(backend, erika, login_session):
    new = backend.run(accounts.check_current_password, erika, login_session, proof(erika))
    proved = backend.session_of(new.token)
    assert proved.password_checked_within(600, people.NOW + timedelta(seconds=599))
    assert not proved.password_checked_within(600, people.NOW + timedelta(seconds=600))
    assert not login_session.password_checked_within(600, people.NOW)


def test_proving_gives_the_session_a_new_token(backend, erika):
    old = backend.log_in(erika.email, people.password_of(erika))
    new = backend.run(accounts.check_current_password, erika, backend.session_of(old), proof(erika))
    assert backend.session_of(old) is None
    assert backend.session_of(new.token).alive(people.NOW)


def test_a_wrong_password_opens_nothing_and_is_on_record(backend, erika, login_session):
    assert backend.run(accounts.check_current_password, erika, login_session, proof(erika, "falsch")) is None
    assert backend.read(login_session).password_checked_at is None
    assert backend.actions()[-1] == "password.refused"


def test_who_finds_an_open_session_must_not_guess_on(backend, erika, login_session, clock):
    for _ in range(20):
        backend.run(accounts.check_current_password, erika, login_session, proof(erika, "falsch"))
    assert backend.run(accounts.check_current_password, erika, login_session, proof(erika)) is None
    clock.shift(30)
    assert backend.run(accounts.check_current_password, erika, login_session, proof(erika))


def test_the_right_password_forgets_the_wrong_ones(backend, erika, login_session):
    for _ in range(3):
        for _ in range(5):
            backend.run(accounts.check_current_password, erika, login_session, proof(erika, "falsch"))
        assert backend.run(accounts.check_current_password, erika, login_session, proof(erika))
