"""The codes of an app and of a sheet of paper: what they derive from, and which of them count."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from pyotp import TOTP

from kmzportal.services.second_factor import STEP, SecondFactor
from kmzportal.services.tokens import CODE_ALPHABET, LinkKeys
from tests.people import NOW

KEYS = LinkKeys(["a key", "an older key"])
FACTOR = SecondFactor(KEYS, "nonce")


def shown(factor, shifted=0):
    return TOTP(factor.secret).at(NOW + timedelta(seconds=shifted))


def test_it_speaks_rfc_6238():
    assert TOTP("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", digits=8).at(59) == "94287082"  # the RFC's own example
    assert FACTOR.step_of(shown(FACTOR), NOW) == int(NOW.timestamp()) // STEP


@pytest.mark.parametrize(("shifted", "counts"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)])
def test_the_clock_of_a_telephone_may_be_wrong_by_one_step(shifted, counts):
    assert (FACTOR.step_of(shown(FACTOR, shifted), NOW) is not None) is counts


@pytest.mark.parametrize("how", [" {} ", "{0[0]}{0[1]}{0[2]} {0[3]}{0[4]}{0[5]}"])
def test_blanks_in_the_code_are_forgiven(how):
    assert FACTOR.step_of(how.format(shown(FACTOR)), NOW)


@pytest.mark.parametrize("typed", ["", " ", "000000000", "abc", "１２３４５６", "\x00", "-", "😀" * 6])
def test_what_is_no_code_is_no_code(typed):
    assert FACTOR.step_of(typed, NOW) is None
    assert FACTOR.place_of(typed) is None


def test_ten_different_codes_of_eighty_bits_that_nobody_misreads():
    codes = FACTOR.recovery_codes
    assert len({code[:9] for code in codes}) == 10
    assert all(len(code) == 19 and set(code) <= {*CODE_ALPHABET, "-"} for code in codes)
    assert len(CODE_ALPHABET) == 32 and not set("IO01") & set(CODE_ALPHABET)


def test_a_code_on_paper_is_known_however_it_is_typed():
    for place, code in enumerate(FACTOR.recovery_codes):
        assert FACTOR.place_of(code) == FACTOR.place_of(f" {code.lower().replace('-', ' ')}") == place


def test_another_nonce_is_another_factor():
    other = SecondFactor(KEYS, "another nonce")
    assert other.secret != FACTOR.secret
    assert not set(other.recovery_codes) & set(FACTOR.recovery_codes)
    assert other.step_of(shown(FACTOR), NOW) is None


def test_what_was_set_up_under_an_older_key_still_counts_and_a_lost_key_ends_it():
    before = SecondFactor(LinkKeys(["an older key"]), "nonce")
    assert FACTOR.secret != before.secret
    assert FACTOR.step_of(shown(before), NOW)
    assert FACTOR.place_of(before.recovery_codes[3]) == 3
    lost = SecondFactor(LinkKeys(["a key"]), "nonce")
    assert lost.step_of(shown(before), NOW) is lost.place_of(before.recovery_codes[3]) is None


def test_an_app_reads_office_address_and_secret_from_the_qr_code():
    uri = urlsplit(FACTOR.uri("rosa.otto@kmz.example", "Kreismedienzentrum Calw"))
    assert (uri.scheme, uri.netloc) == ("otpauth", "totp")
    assert uri.path == "/Kreismedienzentrum%20Calw:rosa.otto%40kmz.example"
    assert parse_qs(uri.query) == {"secret": [FACTOR.secret], "issuer": ["Kreismedienzentrum Calw"]}
