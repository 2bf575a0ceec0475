"""The second factor of a clerk: codes of an app and recovery codes, each accepted once, and wrong ones counted."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from pyotp import TOTP
from sqlalchemy import select

from kmzportal.models import LoginSession
from kmzportal.services import second_factor, sessions
from kmzportal.services.refusals import SessionOver, WrongCode
from kmzportal.services.second_factor import SecondFactor
from kmzportal.services.tokens import CODE_ALPHABET, LinkKeys
from tests.people import NOW

pytestmark = pytest.mark.usefixtures("clock")
KEYS = LinkKeys(["a key", "an older key"])
FACTOR = SecondFactor(KEYS, "nonce")
WRONG = "000000"
OFFICE, ELSEWHERE, STRANGER = "192.0.2.1", "192.0.2.9", "203.0.113.200"

# The codes


def totp_code(factor, shifted=0):
    return TOTP(factor.secret).at(NOW + timedelta(seconds=shifted))


@pytest.mark.parametrize(("shifted", "accepted"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)])
def test_the_clock_of_a_telephone_may_be_wrong_by_one_step(shifted, accepted):
    assert (FACTOR.step_of(totp_code(FACTOR, shifted), NOW) is not None) is accepted


def test_blanks_hyphens_and_case_are_ignored():
    code = totp_code(FACTOR)
    assert FACTOR.step_of(f" {code[:3]} {code[3:]} ", NOW)
    for place, recovery_code in enumerate(FACTOR.recovery_codes):
        assert FACTOR.place_of(recovery_code) == place
        assert FACTOR.place_of(f" {recovery_code.lower().replace('-', ' ')}") == place


@pytest.mark.parametrize("typed", ["", "000000000", "１２３４５６", "\x00", "-", "😀" * 6])
def test_other_input_is_no_code(typed):
    assert FACTOR.step_of(typed, NOW) is None
    assert FACTOR.place_of(typed) is None


def test_there_are_ten_different_recovery_codes_of_eighty_bits():
    codes = FACTOR.recovery_codes
    assert len({code[:9] for code in codes}) == 10
    assert not set(codes) & set(SecondFactor(KEYS, "another nonce").recovery_codes)
    assert all(len(code) == 19 and set(code) <= {*CODE_ALPHABET, "-"} for code in codes)


def test_a_factor_of_an_older_key_is_accepted_until_the_key_is_removed():
    before = SecondFactor(LinkKeys(["an older key"]), "nonce")
    assert FACTOR.secret != before.secret
    assert FACTOR.step_of(totp_code(before), NOW)
    assert FACTOR.place_of(before.recovery_codes[3]) == 3
    removed = SecondFactor(LinkKeys(["a key"]), "nonce")
    assert removed.step_of(totp_code(before), NOW) is removed.place_of(before.recovery_codes[3]) is None


def test_the_qr_code_holds_office_address_and_secret():
    uri = urlsplit(FACTOR.uri("rosa.otto@kmz.example", "Kreismedienzentrum Calw"))
    assert (uri.scheme, uri.netloc) == ("otpauth", "totp")
    assert uri.path == "/Kreismedienzentrum%20Calw:rosa.otto%40kmz.example"
    assert parse_qs(uri.query) == {"secret": [FACTOR.secret], "issuer": ["Kreismedienzentrum Calw"]}


# Logging in with a code


@pytest.fixture
def awaiting(backend, rosa, log_in):
    """Log Rosa in with her password; returns the session that awaits the code."""
    return lambda: backend.session_of(log_in(rosa))


@pytest.fixture
def enter(backend, awaiting):
    """Log Rosa in with her password and a code; returns the token, or None; `enter.device` that of the device."""

    def log_in(code, **context):
        return backend.run(second_factor.verify_login, awaiting(), code, **context)

    def enter(code, **context):
        new = log_in(code, **context)
        return new.token if new else None

    enter.device = lambda code, **context: log_in(code, **context).device_token
    return enter


def test_the_right_code_gives_a_new_session_and_ends_the_one_that_awaited_it(backend, rosa, factor, awaiting):
    first = awaiting()
    assert (first.awaits_code, first.ends_at) == (True, NOW + timedelta(minutes=5))
    new = backend.run(second_factor.verify_login, first, backend.totp_code(factor.secret))
    session = backend.session_of(new.token)
    assert (session.clerk_id, session.awaits_code, session.id != first.id) == (rosa.id, False, True)
    assert backend.read(first).ended_at == NOW
    assert backend.actions() == ["login.code_due", "login.succeeded"]


@pytest.mark.parametrize("why", ["expired", "locked", "ended", "complete"])
def test_a_session_that_is_over_or_complete_or_whose_clerk_is_locked_takes_no_code(
    backend, rosa, factor, awaiting, clock, why
):
    session = awaiting()
    if why == "expired":
        clock.shift(timedelta(minutes=5))
    row, change = {
        "expired": (session, {}),
        "locked": (rosa, {"locked_at": NOW}),
        "ended": (session, {"ended_at": NOW}),
        "complete": (session, {"awaits_code": False}),
    }[why]
    backend.update(row, **change)
    with pytest.raises(SessionOver):
        backend.run(second_factor.verify_login, session, backend.totp_code(factor.secret))


def test_a_session_that_expires_while_its_code_is_checked_outlives_another_login_and_takes_no_code(
    backend, factor, awaiting
):
    def verify_late(tx, session):
        tx.now += timedelta(minutes=6)
        sessions.start_session(tx, session.clerk, "Browser", awaits_code=True)
        second_factor.verify_login(tx, session, backend.totp_code(factor.secret))

    with pytest.raises(SessionOver):
        backend.run(verify_late, awaiting())


def test_each_code_is_accepted_once_and_of_the_app_no_earlier_one_after_it(backend, rosa, factor, enter, clock):
    early = backend.totp_code(factor.secret)
    clock.shift(30)
    code = backend.totp_code(factor.secret)
    assert enter(code)
    assert enter(code) is None and enter(early) is None
    clock.shift(30)
    assert enter(code) is None
    assert enter(backend.totp_code(factor.secret))
    for place in (7, 2):
        assert enter(factor.recovery_codes[place])
        assert enter(factor.recovery_codes[place]) is None
    assert backend.read(rosa).recovery_codes_used == [7, 2]


def test_no_code_is_accepted_without_a_factor_and_never_that_of_another_clerk(backend, rosa, tim, enter):
    of_tim = backend.add_second_factor(tim)
    codes = ["", WRONG, "AAAA-AAAA-AAAA-AAAA", backend.totp_code(of_tim.secret), of_tim.recovery_codes[0]]
    assert [enter(code) for code in codes] == [None] * 5
    backend.add_second_factor(rosa)
    assert [enter(code) for code in codes[-2:]] == [None] * 2
    assert backend.read(tim).recovery_codes_used == []


@pytest.mark.parametrize("kind", ["app", "recovery code"])
def test_of_two_concurrent_uses_of_one_code_one_succeeds(backend, rosa, factor, awaiting, kind):
    waiting = iter([awaiting(), awaiting()])
    code = backend.totp_code(factor.secret) if kind == "app" else factor.recovery_codes[0]

    def enter_in_the_next(tx):
        return second_factor.verify_login(tx, tx.session.get(LoginSession, next(waiting).id), code)

    results = backend.run_concurrently(2, enter_in_the_next)
    assert sorted(type(result).__name__ for result in results) == ["NewSession", "NoneType"]
    assert sorted(backend.actions()[-2:]) == ["login.code_wrong", "login.succeeded"]


def test_of_three_concurrent_codes_in_one_session_one_succeeds(backend, factor, awaiting):
    codes = iter(factor.recovery_codes)
    results = backend.run_concurrently(
        3, lambda tx, session: second_factor.verify_login(tx, session, next(codes)), awaiting()
    )
    assert sorted(type(result).__name__ for result in results) == ["NewSession", "SessionOver", "SessionOver"]


# Set up


def test_a_new_factor_needs_a_code_of_its_app_and_replaces_the_old_one(backend, rosa, factor, enter, clock):
    new = SecondFactor(backend.factor_keys, "a new nonce")
    with pytest.raises(WrongCode):
        backend.run(second_factor.set_up, rosa, "a new nonce", backend.totp_code(factor.secret))
    assert backend.actions() == ["factor.refused"]
    code = backend.totp_code(new.secret)
    backend.run(second_factor.set_up, rosa, "a new nonce", code)
    assert enter(code) is None, "the code that set it up was accepted once already"
    clock.shift(30)
    assert enter(backend.totp_code(factor.secret)) is enter(factor.recovery_codes[0]) is None
    assert enter(backend.totp_code(new.secret))


# Wrong codes


def test_a_right_code_clears_five_wrong_ones_and_after_six_no_code_of_the_app_is_compared_for_the_wait(
    backend, rosa, factor, enter, clock
):
    """The right password does not clear them: whoever knows it must not guess the code."""
    for failures in (5, 5, 6):
        clock.shift(30)
        for _ in range(failures):
            assert enter(WRONG) is None
        assert bool(enter(backend.totp_code(factor.secret))) is (failures == 5)
    assert backend.actions()[-1] == "login.code_throttled"
    assert enter(factor.recovery_codes[0]), "recovery codes are counted apart"
    clock.shift(30)
    assert enter(backend.totp_code(factor.secret))


def test_throttled_codes_are_recorded_once_an_hour_from_all_sources(backend, rosa, factor, enter):
    for _ in range(20):
        assert enter(WRONG) is None
    assert backend.actions().count("login.code_throttled") == 1


def test_six_concurrent_wrong_codes_are_counted_as_six_until_a_new_factor_is_set_up(
    backend, rosa, factor, awaiting, enter
):
    assert backend.run_concurrently(6, second_factor.verify_login, awaiting(), WRONG) == [None] * 6
    assert enter(backend.totp_code(factor.secret)) is None
    assert backend.actions()[-1] == "login.code_throttled"
    new = SecondFactor(backend.factor_keys, "a new nonce")
    backend.run(second_factor.set_up, rosa, "a new nonce", totp_code(new, -30))
    assert enter(backend.totp_code(new.secret))


def test_wrong_recovery_codes_are_counted_too(factor, enter, clock):
    for _ in range(6):
        assert enter("AAAA-AAAA-AAAA-AAAA") is None
    assert enter(factor.recovery_codes[0]) is None
    clock.shift(30)
    assert enter(factor.recovery_codes[0])


def test_whoever_knows_the_password_neither_uses_up_the_owners_tries_nor_is_refused_for_good(
    backend, rosa, factor, enter, clock
):
    """Two hundred tries from one source, one an hour, count neither elsewhere nor at a device known to the clerk."""
    token = enter.device(factor.recovery_codes[0], source=STRANGER)
    for _ in range(200):
        assert enter(WRONG, source=STRANGER) is None
        clock.shift(timedelta(hours=1))
    assert enter(WRONG, source=STRANGER) is None
    assert enter(factor.recovery_codes[1], source=STRANGER, device_token=token), "the own device, at the same source"
    clock.shift(-30)
    assert enter(backend.totp_code(factor.secret), source=STRANGER, device_token=token)
    clock.shift(30)
    assert enter(backend.totp_code(factor.secret), source=OFFICE), "an unknown device elsewhere"
    for _ in range(6):
        assert enter(WRONG, source=STRANGER) is None
    assert enter(factor.recovery_codes[2], source=STRANGER)


def test_a_known_device_has_a_count_of_its_own(backend, factor, enter, clock):
    token = enter.device(factor.recovery_codes[0], source=OFFICE)
    for _ in range(6):
        assert enter(WRONG, source=OFFICE, device_token=token) is None
    assert enter(backend.totp_code(factor.secret), source=OFFICE, device_token=token) is None
    assert enter(backend.totp_code(factor.secret), source=OFFICE)


def test_a_hundred_wrong_codes_from_many_sources_slow_all_unknown_devices_but_no_known_one(
    backend, factor, enter, clock
):
    token = enter.device(factor.recovery_codes[0], source=OFFICE)
    for number in range(101):
        assert enter(WRONG, source=f"198.51.100.{number}") is None
    assert enter(backend.totp_code(factor.secret), source=ELSEWHERE) is None
    clock.shift(-30)
    assert enter(backend.totp_code(factor.secret), source=OFFICE, device_token=token)
    clock.shift(30)
    assert enter(backend.totp_code(factor.secret), source=ELSEWHERE) is None, "that code ended no wait of others"
    for number in range(30):
        clock.shift(timedelta(hours=1))
        assert enter(WRONG, source=f"203.0.113.{number}") is None
    clock.shift(timedelta(hours=1))
    assert enter(backend.totp_code(factor.secret), source=ELSEWHERE), "after the longest wait"


def test_many_sources_that_go_on_for_days_have_few_codes_compared(backend, factor, enter, clock):
    """Each of a household's networks has tries of its own, which do not count together."""
    for _hour in range(3 * 24):
        for number in range(4):
            enter(WRONG, source=f"198.51.100.{number}")
        clock.shift(timedelta(hours=1, seconds=1))
    assert backend.actions().count("login.code_wrong") < 4 * 25, "one more each hour without"


@pytest.mark.parametrize("where", ["login", "confirmation"])
def test_the_third_wrong_code_in_a_day_is_mailed_to_the_clerk_and_all_admins_once_a_day(
    backend, rosa, tim, factor, enter, clock, where
):
    session = backend.session_of(enter(factor.recovery_codes[0], source=OFFICE))

    def fail():
        """From another source each time, as whoever hides would."""
        clock.shift(timedelta(hours=1))
        if where == "login":
            assert enter(WRONG, source=f"198.51.100.{len(backend.actions())}") is None
        else:
            assert backend.run(second_factor.confirm, rosa, session, WRONG) is None

    backend.update(tim, admin=True)
    fail(), fail()
    assert backend.mails() == []
    for _ in range(2):
        for _ in range(4):
            fail()
        mails = [(mail.template, mail.recipient) for mail in backend.mails()]
        assert mails == [("clerk_password_known", rosa.email), ("clerk_codes_guessed", tim.email)]
    clock.shift(timedelta(days=1))
    for _ in range(3):
        fail()
    assert [mail.template for mail in backend.mails()] == ["clerk_password_known", "clerk_codes_guessed"] * 2


def test_no_locked_admin_and_no_other_clerk_is_told(backend, rosa, tim, factor, enter):
    backend.update(tim, admin=True, locked_at=NOW)
    for _ in range(3):
        enter(WRONG)
    assert [mail.recipient for mail in backend.mails()] == [rosa.email]


def test_who_knows_the_password_alone_ends_no_session_by_very_many_logins(
    backend, rosa, factor, enter, awaiting, monkeypatch, clock
):
    """Neither one in use nor one in which the clerk is about to enter the code."""
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 3)
    token, hers = enter(factor.recovery_codes[0], source=OFFICE), awaiting()
    for _ in range(5):
        backend.run(sessions.start_session, rosa, "Firefox", True)
    assert backend.session_of(token).alive(NOW)
    assert backend.run(second_factor.verify_login, hers, backend.totp_code(factor.secret))
    clock.shift(timedelta(minutes=8))
    backend.run(sessions.start_session, rosa, "Firefox", True)
    assert len([one for one in backend.read(select(LoginSession)) if one.awaits_code]) == 1
