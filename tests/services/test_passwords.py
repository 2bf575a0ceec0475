"""Passwords: hashed, compared with equal work for unknown accounts, and refused when they are easy to guess."""

import gzip
import unicodedata
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from threading import Event

import pytest
from argon2 import PasswordHasher, extract_parameters

from kmzportal.services import passwords
from kmzportal.services.passwords import MAX_WAITING, check_password, check_strength, hash_password, is_common
from kmzportal.services.refusals import TooBusy, WeakPassword
from kmzportal.services.shares import Holder

GOOD = "kirschbaum im april"
STRANGER = Holder("192.0.2.1")


# Hashed and compared


def test_a_password_is_stored_as_argon2id_with_64_mib(monkeypatch):
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher())  # the costs of the product, not of cheap_hashing.py
    stored = hash_password(GOOD)
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert check_password(GOOD, stored).matches


@pytest.mark.parametrize(
    ("typed", "stored", "matches"),
    [
        *((typed, GOOD, False) for typed in (f" {GOOD}", f"{GOOD} ", GOOD.title(), "")),
        ("za\u0308hne im fru\u0308hling", "zähne im frühling", True),
        ("ä" * 255 + "x", "ä" * 256, False),
    ],
)
def test_a_password_is_normalized_but_never_trimmed_and_every_character_counts(typed, stored, matches):
    assert check_password(typed, hash_password(stored)).matches is matches


@pytest.mark.parametrize("stored", [None, "", "!", "md5$abc", "$2b$12$notargon"])
def test_without_an_argon2_hash_no_password_matches(stored):
    for typed in ("", "changeme", stored or "K-1001"):
        assert not check_password(typed, stored).matches


def test_an_unknown_account_is_compared_with_a_decoy_hash_of_equal_costs(monkeypatch):
    verified = []
    verify = PasswordHasher.verify

    def record_and_verify(hasher, stored, password):
        verified.append(extract_parameters(stored))
        return verify(hasher, stored, password)

    monkeypatch.setattr(PasswordHasher, "verify", record_and_verify)
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=2, memory_cost=24, parallelism=1))
    check_password("wrong", hash_password(GOOD))
    check_password("wrong", None)
    known, unknown = verified
    assert known == unknown


def test_an_outdated_hash_is_replaced_when_the_password_is_right(monkeypatch):
    old = hash_password(GOOD)
    assert check_password(GOOD, old).new_hash is None
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=2, memory_cost=8, parallelism=1))
    assert check_password("wrong", old).new_hash is None
    assert check_password(GOOD, check_password(GOOD, old).new_hash).matches


def test_when_too_many_passwords_wait_the_next_is_refused_at_once(monkeypatch):
    release = Event()

    class BlockedHasher:
        def hash(self, password):
            return str(release.wait(30))

    monkeypatch.setattr(passwords, "_hasher", BlockedHasher())
    with ThreadPoolExecutor(MAX_WAITING + 1) as threads:
        holders = [Holder(f"customer:{number}", known=True) for number in range(MAX_WAITING + 1)]
        waiting = [threads.submit(hash_password, GOOD, holder) for holder in holders]
        done, others = wait(waiting, timeout=20, return_when=FIRST_COMPLETED)
        release.set()
        assert [type(one.exception()) for one in done] == [TooBusy]
        assert [one.result() for one in others] == ["True"] * MAX_WAITING


def test_a_throttled_password_is_compared_with_a_decoy_only_and_never_confirms(monkeypatch):
    compared = []

    class NotingHasher(PasswordHasher):
        def verify(self, stored, password):
            compared.append((stored, password))
            return super().verify(stored, password)

    monkeypatch.setattr(passwords, "_hasher", NotingHasher(time_cost=1, memory_cost=8, parallelism=1))
    stored = hash_password(GOOD)
    check = check_password(GOOD, stored, STRANGER, throttled=True)
    assert (check.confirms(stored), check.throttled) == (False, True)
    assert compared == [(passwords._decoy_hash(), GOOD)]


# Refused when easy to guess

KNOWN = ["erika.mustermann@gms-musterstadt.example", "Erika Mustermann", "K-1001", "GMS Musterstadt", "Calw", "", "ro"]
NFD = unicodedata.normalize("NFD", "Müller123456")


@pytest.mark.parametrize(
    "password",
    [
        *("nur kleine buchstaben", "73918264018365", "äöüßxqzjvkwy", "   drei leerzeichen vorn"),
        *("🐌🌵🪵🧦🐌🌵🪵🦔🐌🌵🧦🦔", "qzxjvkwy plumbum gerade nie " * 9 + "qzxj", "erika wohnt nicht im walde"),
        # a common word among others, or digits and symbols that are on no list
        *("kirschbaum im april", "noch ein passwort 12", "vier rote äpfel", "tür stuhl fenster", "483029148571"),
        *("mein hund frisst gras", "xk#20394!81z", "7k Jx!9pQzz2r", "🌻🌻🐘🚲🎺🏰🧦🍌🔨🌷⚽🦉"),
    ],
)
def test_length_is_enough_and_no_rule_asks_for_capitals_digits_or_symbols(password):
    check_strength(password, 12, KNOWN)


@pytest.mark.parametrize(
    ("password", "message"),
    [
        ("äöüßxqzjvkw", "zu kurz"),
        ("qzxjvkwy plumbum gerade nie " * 9 + "qzxjv", "zu lang"),
        ("Passwort123456", "weit verbreitet"),
        ("Lampe  Honig Fahrplan WIESE 1", "unser Beispiel"),
        ("erika.mustermann@gms-musterstadt.example", "andere erraten"),
        ("ErikaMustermann2026!", "andere erraten"),
        ("GMS-Musterstadt1", "andere erraten"),
        ("Mu5t3rm4nn!2026", "andere erraten"),
        ("ERIKA erika erika", "andere erraten"),
        ("Mustermann-Calw-1", "andere erraten"),
    ],
)
def test_a_password_that_is_easy_to_guess_is_refused_with_the_reason(password, message):
    with pytest.raises(WeakPassword) as refused:
        check_strength(password, 12, KNOWN)
    assert message in refused.value.message


@pytest.mark.parametrize(
    "password",
    [
        # a common word with capitals, digits and symbols around it
        *("Passwort123", "Sommer2026!", "ichliebedich", "hallo1234", "Weihnachten2026", "¡¡PASSWORT!!", NFD),
        # keys that are neighbours
        *("123456789012", "0987654321098", "qwertzuiopü+", "asdf1234jklö", "1qay2wsx3edc", "1q2w3e4r5t6z"),
        "abcdefghijkl",
        # repetitions
        *("aaaaaaaaaaaa", "!!!!!!!!!!!!", "121212121212", "xk7xk7xk7xk7", "hallohallo2026", "Passwort1Passwort1"),
        # digits on the list; the second is a repetition of which only the whole is on it
        *("19841984", "31415926", "3526535265"),
    ],
)
def test_a_common_password_is_recognized(password):
    assert is_common(password)


def test_the_list_holds_thousands_long_enough_for_a_customer_and_is_shipped_with_its_licences():
    words = gzip.decompress(passwords._LIST_FILE.read_bytes()).decode().strip("\n").split("\n")
    assert sum(len(word) >= 12 for word in words) >= 3000
    assert len(words) == len(set(words)) > 80_000
    assert [word for word in words[::30] if not is_common(word)] == []
    licences = passwords._LIST_FILE.with_name("common_passwords.licences.txt").read_text(encoding="utf-8")
    assert "Django Software Foundation" in licences and "Dan Wheeler and Dropbox" in licences
