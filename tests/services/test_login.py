"""Who gets in, who does not, and how long somebody who guesses has to wait."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.domain.audit_event import AuditEvent
from kmzportal.domain.clerk import Clerk
from kmzportal.domain.login_session import LoginSession
from kmzportal.domain.passwords import Proof, hash_password, prove
from kmzportal.domain.throttle import SourceFailure, Throttle
from kmzportal.services import login, password
from tests import canary, cast

pytestmark = pytest.mark.usefixtures("clock")
SCHOOL = "192.0.2.7"


def fail(deeds, person, times, source=None):
    for _ in range(times):
        assert deeds.log_in(person.email, "falsches passwort", source) is None


def test_erika_logs_in_with_her_address_however_she_types_it(deeds, erika):
    token = deeds.log_in(f" {erika.email.upper()} ", cast.password_of(erika))
    here = deeds.session_of(token)
    assert here.customer.number == erika.number
    assert here.device == "Firefox unter Windows"
    assert deeds.history() == ["login.succeeded"]


def test_the_token_is_only_in_the_cookie(app, deeds, erika):
    token = deeds.log_in(erika.email, cast.password_of(erika))
    assert len(token) == 43
    canary.check(app, token)


def test_whoever_is_refused_gets_nothing_whatever_the_reason(deeds, erika, anneliese, lieselotte):
    assert deeds.log_in("niemand@schule.example", cast.password_of(erika)) is None
    assert deeds.log_in(erika.email, "falsches passwort") is None
    assert deeds.log_in(anneliese.email, "") is None
    assert deeds.log_in(lieselotte.email, cast.password_of(lieselotte)) is None
    assert deeds.history() == ["login.refused"] * 4
    assert deeds.read(select(LoginSession)) == []


def test_a_throttled_login_is_refused_with_the_right_password_too(deeds, erika):
    fail(deeds, erika, 6)
    assert deeds.log_in(erika.email, cast.password_of(erika)) is None
    assert deeds.history()[-1] == "login.throttled"


def test_a_clerk_does_not_log_in_as_a_customer(deeds, rosa):
    assert deeds.log_in(rosa.email, cast.password_of(rosa)) is None


def test_juergens_pending_address_does_not_log_in_and_his_old_one_does(deeds, juergen):
    assert deeds.log_in(juergen.pending_email, cast.password_of(juergen)) is None
    assert deeds.log_in(juergen.email, cast.password_of(juergen))


def test_five_typing_errors_are_free(deeds, erika):
    fail(deeds, erika, 5)
    assert deeds.log_in(erika.email, cast.password_of(erika))


def test_after_that_the_wait_grows_and_ends(deeds, erika, clock):
    fail(deeds, erika, 6)
    clock.shift(29)
    assert deeds.log_in(erika.email, cast.password_of(erika)) is None
    clock.shift(1)
    fail(deeds, erika, 1)
    clock.shift(59)
    assert deeds.log_in(erika.email, cast.password_of(erika)) is None
    clock.shift(1)
    assert deeds.log_in(erika.email, cast.password_of(erika))


def test_knocking_while_waiting_does_not_lengthen_the_wait(deeds, erika, clock):
    fail(deeds, erika, 6)
    fail(deeds, erika, 20)
    clock.shift(30)
    assert deeds.log_in(erika.email, cast.password_of(erika))


def test_the_account_waits_whatever_the_source(deeds, erika):
    for number in range(6):
        fail(deeds, erika, 1, f"198.51.100.{number}")
    assert deeds.log_in(erika.email, cast.password_of(erika), "203.0.113.9") is None


def test_logging_in_forgets_the_failures(deeds, erika):
    fail(deeds, erika, 5)
    deeds.log_in(erika.email, cast.password_of(erika))
    fail(deeds, erika, 5)
    assert deeds.log_in(erika.email, cast.password_of(erika))


def test_an_unknown_address_is_counted_like_a_known_one_and_cannot_be_read(deeds):
    for _ in range(6):
        deeds.log_in("niemand@schule.example", "falsches passwort")
    deeds.log_in("Niemand@SCHULE.example", "falsches passwort")
    assert deeds.history()[-1] == "login.throttled"
    (throttle,) = deeds.read(select(Throttle))
    assert throttle.failures == 6
    assert "niemand" not in throttle.account


def test_after_a_hundred_failures_the_password_is_off_and_erika_hears_of_it_once(deeds, erika, clock):
    for _ in range(102):
        fail(deeds, erika, 1)
        clock.shift(timedelta(hours=1))
    clock.shift(timedelta(days=30))
    assert deeds.log_in(erika.email, cast.password_of(erika)) is None
    assert [mail.recipient for mail in deeds.mails("password_disabled")] == [erika.email]


def test_a_new_password_ends_every_wait(deeds, erika, clock):
    for _ in range(101):
        fail(deeds, erika, 1)
        clock.shift(timedelta(hours=1))
    deeds.do(password.take, erika, hash_password(cast.NEW_PASSWORD))
    assert deeds.log_in(erika.email, cast.NEW_PASSWORD)


def test_a_source_that_fails_at_thirty_accounts_is_stopped_at_the_next(deeds, erika, clock):
    for number in range(30):
        deeds.log_in(f"niemand{number}@schule.example", "falsches passwort", SCHOOL)
    assert deeds.log_in(erika.email, cast.password_of(erika), SCHOOL) is None
    assert deeds.log_in(erika.email, cast.password_of(erika), "203.0.113.9")
    clock.shift(timedelta(minutes=15))
    assert deeds.log_in(erika.email, cast.password_of(erika), SCHOOL)


def test_a_school_behind_one_address_counts_accounts_not_tries(deeds, erika, max_):
    fail(deeds, max_, 40, SCHOOL)
    assert len(deeds.read(select(SourceFailure))) == 1
    assert deeds.log_in(erika.email, cast.password_of(erika), SCHOOL)


def test_six_wrong_tries_at_once_are_counted_as_six(deeds, erika):
    wrong = prove("falsches passwort", erika.password_hash)
    assert deeds.at_once(6, login.log_in, erika.email, wrong, "Firefox") == [None] * 6
    assert [throttle.failures for throttle in deeds.read(select(Throttle))] == [6]


def test_a_proof_of_the_password_before_does_not_count(deeds, erika):
    early = prove(cast.password_of(erika), erika.password_hash)
    deeds.do(password.take, erika, hash_password(cast.NEW_PASSWORD))
    assert deeds.do(login.log_in, erika.email, early, "Firefox") is None


def test_an_outdated_hash_is_replaced_when_erika_logs_in(deeds, erika):
    proof = Proof(erika.password_hash, holds=True, rehashed=hash_password(cast.password_of(erika)))
    deeds.do(login.log_in, erika.email, proof, "Firefox")
    assert deeds.read(erika).password_hash == proof.rehashed
    assert deeds.read(erika).password_set_at == erika.password_set_at


def test_every_login_has_a_session_of_its_own(deeds, erika):
    tokens = {deeds.log_in(erika.email, cast.password_of(erika)) for _ in range(3)}
    assert len(tokens) == 3
    assert all(deeds.session_of(token).alive(cast.NOW) for token in tokens)


def test_a_session_ends_after_half_an_hour_of_rest(deeds, erika):
    here = deeds.session_of(deeds.log_in(erika.email, cast.password_of(erika)))
    assert here.alive(cast.NOW + timedelta(minutes=30, seconds=-1))
    assert not here.alive(cast.NOW + timedelta(minutes=30))


def test_a_session_in_use_ends_after_eight_hours(deeds, erika, clock):
    token = deeds.log_in(erika.email, cast.password_of(erika))
    for _ in range(8 * 3 - 1):
        clock.shift(timedelta(minutes=20))
        deeds.do(login.touch, deeds.session_of(token).id)
    here = deeds.session_of(token)
    assert here.alive(cast.NOW + timedelta(hours=8, seconds=-1))
    assert not here.alive(cast.NOW + timedelta(hours=8))


def test_a_clerks_session_rests_only_a_quarter_of_an_hour(deeds, rosa):
    here = deeds.session_of(deeds.do(login.start_session, rosa, "Firefox"))
    assert here.clerk.initials == "ro"
    assert here.alive(cast.NOW + timedelta(minutes=15, seconds=-1))
    assert not here.alive(cast.NOW + timedelta(minutes=15))


def test_using_a_session_is_noted_at_most_once_a_minute(deeds, erika, clock):
    token = deeds.log_in(erika.email, cast.password_of(erika))
    here = deeds.session_of(token)
    clock.shift(60)
    deeds.do(login.touch, here.id)
    assert deeds.session_of(token).last_seen == cast.NOW
    clock.shift(1)
    deeds.do(login.touch, here.id)
    assert deeds.session_of(token).last_seen == cast.NOW + timedelta(seconds=61)


def test_a_new_token_ends_the_one_before(deeds, erika):
    old = deeds.log_in(erika.email, cast.password_of(erika))
    new = deeds.do(lambda work, here: here.draw_token(), deeds.session_of(old))
    assert deeds.session_of(old) is None
    assert deeds.session_of(new).alive(cast.NOW)


def test_logging_out_ends_the_session_here_and_no_other(deeds, erika):
    here, there = (deeds.log_in(erika.email, cast.password_of(erika)) for _ in range(2))
    deeds.do(login.log_out, deeds.session_of(here))
    assert not deeds.session_of(here).alive(cast.NOW)
    assert deeds.session_of(there).alive(cast.NOW)
    assert deeds.history()[-1] == "logout"


def test_ending_sessions_spares_everybody_else(deeds, erika, max_):
    for person in (erika, erika, max_):
        deeds.log_in(person.email, cast.password_of(person))
    assert deeds.do(login.end_sessions, erika) == 2
    (alive,) = deeds.read(select(LoginSession).where(LoginSession.ended_at.is_(None)))
    assert alive.customer_id == max_.id


def test_the_record_says_who_and_from_where(deeds, erika):
    deeds.log_in(erika.email, "falsches passwort", SCHOOL)
    deeds.log_in(erika.email, cast.password_of(erika), SCHOOL)
    refused, succeeded = deeds.read(select(AuditEvent).order_by(AuditEvent.id))
    assert (refused.actor, refused.customer_id, refused.source) == ("visitor", erika.id, SCHOOL)
    assert succeeded.actor == f"customer:{erika.id}"


@pytest.mark.parametrize("changer", range(4))
def test_a_login_during_a_change_of_password_does_not_outlive_it(deeds, erika, changer):
    """Whichever comes first: a session begun with the old password is ended, or never begins."""
    early = prove(cast.password_of(erika), erika.password_hash)
    new_hash = hash_password(cast.NEW_PASSWORD)
    turns = iter(range(4))

    def log_in_or_change(work, customer):
        if next(turns) == changer:
            return password.take(work, customer, new_hash)
        return login.log_in(work, customer.email, early, "Firefox")

    assert not [got for got in deeds.at_once(4, log_in_or_change, erika) if isinstance(got, Exception)]
    assert [one for one in deeds.read(select(LoginSession)) if one.ended_at is None] == []


# The desk's door

OFFICE, ELSEWHERE = "192.0.2.1", "198.51.100.7"


@pytest.fixture
def tim_in(deeds, tim):
    """Tim logged in at the office; try his right password from somewhere."""
    deeds.do(lambda work, clerk: work.record("login.succeeded", clerk), tim, source=OFFICE)
    return lambda source: deeds.log_in(tim.email, cast.password_of(tim), source, Clerk)


def test_strangers_do_not_shut_a_clerk_out_where_she_logs_in(deeds, tim, tim_in):
    for number in range(20):
        deeds.log_in(tim.email, "falsches passwort", f"198.51.100.{number}", Clerk)
    assert tim_in(ELSEWHERE) is None
    assert tim_in(OFFICE)


def test_nor_do_made_up_names_behind_the_offices_own_address(deeds, tim_in):
    for number in range(40):
        deeds.log_in(f"niemand{number}@schule.example", "falsches passwort", OFFICE)
    assert tim_in(OFFICE)


def test_but_who_guesses_there_waits_too_and_a_new_password_forgets_it(deeds, tim, tim_in):
    for _ in range(8):
        deeds.log_in(tim.email, "falsches passwort", OFFICE, Clerk)
    assert tim_in(OFFICE) is None
    deeds.do(login.forgive, tim)
    assert tim_in(OFFICE)


def test_after_a_week_away_the_office_is_a_place_like_any_other(deeds, tim, tim_in, clock):
    clock.shift(timedelta(days=8))
    for number in range(20):
        deeds.log_in(tim.email, "falsches passwort", f"198.51.100.{number}", Clerk)
    assert tim_in(OFFICE) is None


def test_customers_are_counted_together_wherever_it_happens(deeds, erika):
    deeds.do(lambda work, customer: work.record("login.succeeded", customer), erika, source=OFFICE)
    for number in range(20):
        deeds.log_in(erika.email, "falsches passwort", f"198.51.100.{number}")
    assert deeds.log_in(erika.email, cast.password_of(erika), OFFICE) is None
