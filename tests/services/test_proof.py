"""The current password opens Konto anpassen for ten minutes, and who guesses it waits."""

from datetime import timedelta

import pytest

from kmzportal.domain.passwords import prove
from kmzportal.services import account
from tests import cast

pytestmark = pytest.mark.usefixtures("clock")


def proof(person, text=None):
    return prove(text or cast.password_of(person), person.password_hash)


def test_the_current_password_opens_konto_anpassen_for_ten_minutes(deeds, erika, here):
    token = deeds.do(account.prove, erika, here, proof(erika))
    proved = deeds.session_of(token)
    assert proved.proved_within(600, cast.NOW + timedelta(seconds=599))
    assert not proved.proved_within(600, cast.NOW + timedelta(seconds=600))
    assert not here.proved_within(600, cast.NOW)


def test_proving_gives_the_session_a_new_token(deeds, erika):
    old = deeds.log_in(erika.email, cast.password_of(erika))
    new = deeds.do(account.prove, erika, deeds.session_of(old), proof(erika))
    assert deeds.session_of(old) is None
    assert deeds.session_of(new).alive(cast.NOW)


def test_a_wrong_password_opens_nothing_and_is_on_record(deeds, erika, here):
    assert deeds.do(account.prove, erika, here, proof(erika, "falsch")) is None
    assert deeds.read(here).password_proved_at is None
    assert deeds.history()[-1] == "password.refused"


def test_who_finds_an_open_session_must_not_guess_on(deeds, erika, here, clock):
    for _ in range(20):
        deeds.do(account.prove, erika, here, proof(erika, "falsch"))
    assert deeds.do(account.prove, erika, here, proof(erika)) is None
    clock.shift(30)
    assert deeds.do(account.prove, erika, here, proof(erika))


def test_the_right_password_forgets_the_wrong_ones(deeds, erika, here):
    for _ in range(3):
        for _ in range(5):
            deeds.do(account.prove, erika, here, proof(erika, "falsch"))
        assert deeds.do(account.prove, erika, here, proof(erika))
