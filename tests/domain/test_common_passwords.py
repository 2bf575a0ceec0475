"""Passwords that anybody would try are known; phrases that people make up themselves are not."""

import gzip
import unicodedata

import pytest

from kmzportal.services.passwords import _LIST_FILE, _bare_word, is_common

SHORTEST_CUSTOMER_PASSWORD = 12


@pytest.mark.parametrize(
    "password",
    ["Passwort123", "Sommer2026!", "ichliebedich", "hallo1234", "Weihnachten2026", "¡¡PASSWORT!!", "Müller123456"],
)
def test_a_common_word_stays_common_with_capitals_digits_and_signs(password):
    assert is_common(password)


@pytest.mark.parametrize(
    "password",
    ["123456789012", "0987654321098", "qwertzuiopü+", "asdf1234jklö", "1qay2wsx3edc", "1q2w3e4r5t6z", "abcdefghijkl"],
)
def test_a_run_of_neighbouring_keys_is_common(password):
    assert is_common(password)


@pytest.mark.parametrize(
    "password", ["aaaaaaaaaaaa", "!!!!!!!!!!!!", "121212121212", "xk7xk7xk7xk7", "hallohallo2026", "Passwort1Passwort1"]
)
def test_saying_the_same_thing_twice_is_common(password):
    assert is_common(password)


@pytest.mark.parametrize(
    "password",
    [
        "kirschbaum im april",
        "noch ein passwort 12",
        "vier rote äpfel",
        "tür stuhl fenster",
        "mein hund frisst gras",
        "xk#20394!81z",
        "7k Jx!9pQzz2r",
        "🌻🌻🐘🚲🎺🏰🧦🍌🔨🌷⚽🦉",
    ],
)
def test_a_phrase_of_ones_own_is_not_common(password):
    assert not is_common(password)


def test_twelve_digits_that_follow_no_rule_are_not_common():
    assert not is_common("483029148571")


def test_digits_alone_are_found_when_they_are_on_the_list():
    assert _bare_word("19841984") == "19841984"
    assert is_common("31415926")
    assert is_common("3526535265")  # a piece twice, and only the whole is on the list


def test_an_empty_password_is_judged_without_a_failure():
    assert not is_common("")


def test_both_ways_to_write_an_umlaut_are_the_same_password():
    assert unicodedata.normalize("NFD", "Müller123456") != "Müller123456"
    assert is_common(unicodedata.normalize("NFD", "Müller123456"))


def test_the_list_knows_thousands_that_are_long_enough_for_a_customer():
    words = gzip.decompress(_LIST_FILE.read_bytes()).decode().strip("\n").split("\n")
    assert sum(len(word) >= SHORTEST_CUSTOMER_PASSWORD for word in words) >= 3000
    assert len(words) == len(set(words)) > 80_000


def test_every_thirtieth_entry_of_the_list_is_refused():
    words = gzip.decompress(_LIST_FILE.read_bytes()).decode().strip("\n").split("\n")
    assert [word for word in words[::30] if not is_common(word)] == []


def test_the_licences_of_both_sources_lie_beside_the_list():
    licences = _LIST_FILE.with_name("common_passwords.licences.txt").read_text(encoding="utf-8")
    assert "Django Software Foundation" in licences
    assert "Dan Wheeler and Dropbox" in licences
