"""How passwords are kept, proved and judged."""

import pytest
from argon2 import PasswordHasher

from kmzportal.services import passwords
from kmzportal.services.passwords import check_password, check_strength, hash_password
from kmzportal.services.refusals import WeakPassword

KNOWN = ["erika.mustermann@gms-musterstadt.example", "Erika Mustermann", "K-1001", "GMS Musterstadt", "Calw", "", "ro"]
GOOD = "kirschbaum im april"


def judge(password):
    check_strength(password, 12, KNOWN)


def refusal(password):
    with pytest.raises(WeakPassword) as refused:
        judge(password)
    return refused.value.message


@pytest.fixture
def real_hashing(monkeypatch):
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher())


def test_a_password_is_kept_as_argon2id_with_64_mib(real_hashing):
    stored = hash_password(GOOD)
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert check_password(GOOD, stored).matches


def test_two_people_with_one_password_have_different_hashes():
    assert hash_password(GOOD) != hash_password(GOOD)


def test_a_wrong_password_proves_nothing():
    assert not check_password("kirschbaum im mai", hash_password(GOOD)).matches


@pytest.mark.parametrize("typed", [f" {GOOD}", f"{GOOD} ", GOOD.title(), ""])
def test_a_password_is_never_trimmed_and_its_case_counts(typed):
    assert not check_password(typed, hash_password(GOOD)).matches


def test_one_password_typed_on_two_keyboards_is_one():
    assert check_password("za\u0308hne im fru\u0308hling", hash_password("zähne im frühling")).matches


def test_every_sign_of_a_long_password_counts():
    assert not check_password("ä" * 255 + "x", hash_password("ä" * 256)).matches


@pytest.mark.parametrize("typed", ["", "nobody has this password", "changeme", "K-1001"])
def test_without_a_stored_password_nothing_is_right(typed):
    assert not check_password(typed, None).matches


@pytest.mark.parametrize("foreign", ["", "!", "md5$abc", "$2b$12$notargon"])
def test_a_foreign_hash_opens_nothing(foreign):
    assert not check_password("", foreign).matches
    assert not check_password(foreign, foreign).matches


def test_an_unknown_account_costs_as_many_hashes_as_a_wrong_password(monkeypatch):
    check_password("once before", None)
    calls = []
    verify = PasswordHasher.verify
    monkeypatch.setattr(PasswordHasher, "verify", lambda *given: calls.append(1) or verify(*given))
    check_password("wrong", None)
    unknown, calls[:] = len(calls), []
    check_password("wrong", hash_password(GOOD))
    assert unknown == len(calls) == 1


def test_an_old_hash_is_made_anew_when_the_password_is_right(monkeypatch):
    old = hash_password(GOOD)
    assert check_password(GOOD, old).new_hash is None
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=2, memory_cost=8, parallelism=1))
    assert check_password("wrong", old).new_hash is None
    assert check_password(GOOD, check_password(GOOD, old).new_hash).matches


@pytest.mark.parametrize(
    "password",
    [
        "nur kleine buchstaben",
        "73918264018365",
        "🐌🌵🪵🧦🐌🌵🪵🦔🐌🌵🧦🦔",
        "äöüßäöüßxqzj",
        "   drei leerzeichen vorn",
        "p" + "qzxj" * 63 + "abc",
        "erika wohnt nicht im walde",
    ],
)
def test_no_rule_asks_for_capitals_digits_or_signs(password):
    judge(password)


def test_length_is_counted_in_characters():
    judge("äöüßxqzjvkwy")
    assert "zu kurz" in refusal("äöüßxqzjvkw")


def test_256_characters_are_taken_and_257_are_refused_not_cut():
    sentence = "qzxjvkwy plumbum gerade nie " * 10
    judge(sentence[:256])
    assert "zu lang" in refusal(sentence[:257])


@pytest.mark.parametrize(
    "password",
    [
        "erika.mustermann@gms-musterstadt.example",
        "Erika Mustermann",
        "ErikaMustermann2026!",
        "mustermann1973",
        "GMS-Musterstadt1",
        "Mu5t3rm4nn!2026",
        "ERIKA erika erika",
        "Mustermann-Calw-1",
    ],
)
def test_a_password_made_of_what_others_know_is_refused(password):
    assert "andere erraten" in refusal(password)


def test_a_common_password_is_refused():
    assert "weit verbreitet" in refusal("Passwort123456")


@pytest.mark.parametrize(
    "typed", ["lampe honig fahrplan wiese", "Lampe  Honig Fahrplan WIESE", "lampe honig fahrplan wiese 1"]
)
def test_the_example_beside_the_field_is_nobodys_password(typed):
    with pytest.raises(WeakPassword) as refusal:
        check_strength(typed, 12, [])
    assert "unser Beispiel" in refusal.value.message
