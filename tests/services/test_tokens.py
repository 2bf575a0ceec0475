"""Tokens and codes derive from a key outside the database; no token, code or password is stored."""

import re

import pytest

from kmzportal.models import AccountLink, LinkKind
from kmzportal.services.tokens import CODE_ALPHABET, LinkKeys, token_hash, without_secrets
from tests import secret_scan
from tests.people import NEW_PASSWORD

KEYS = LinkKeys(["a present key of many characters"])


def issue(keys=KEYS):
    nonce, hashed = keys.nonce_and_hash()
    return AccountLink(nonce=nonce, token_hash=hashed)


def test_a_token_has_43_url_safe_characters_and_the_row_holds_only_its_hash():
    links = [issue() for _ in range(2_000)]
    tokens = [KEYS.token(link) for link in links]
    assert len(set(tokens)) == len({link.nonce for link in links}) == 2_000
    for link, token in zip(links, tokens, strict=True):
        assert re.fullmatch(r"[A-Za-z0-9_-]{43}", token)
        assert link.token_hash == token_hash(token)
        assert token not in {link.nonce, link.token_hash}


def test_codes_have_eight_characters_without_look_alikes():
    codes = [KEYS.code(issue()) for _ in range(500)]
    assert len(set(codes)) == 500
    assert all(re.fullmatch(rf"[{CODE_ALPHABET}]{{4}}-[{CODE_ALPHABET}]{{4}}", code) for code in codes)
    assert set("".join(codes)) == {*CODE_ALPHABET, "-"}
    assert len(CODE_ALPHABET) == 32 and not set("IO01") & set(CODE_ALPHABET)


@pytest.mark.parametrize("spoil", [str.lower, lambda code: code.replace("-", ""), lambda code: f"  {' '.join(code)}. "])
def test_blanks_hyphens_and_case_of_a_code_are_ignored(spoil):
    link = issue()
    assert KEYS.code_matches(link, spoil(KEYS.code(link)))


@pytest.mark.parametrize("typed", ["", "-", "ABCD", "ÄÖÜß-ÄÖÜß", "\u0661" * 8, None])
def test_another_code_does_not_match(typed):
    of_another_link = KEYS.code(issue())
    assert not KEYS.code_matches(issue(), of_another_link if typed is None else typed)


def test_an_older_key_still_gives_the_token_and_code_of_its_links_until_it_is_removed():
    link = issue()
    keys = LinkKeys(["a new key, longer than the old one", "a present key of many characters"])
    assert (keys.token(link), keys.code(link)) == (KEYS.token(link), KEYS.code(link))
    only_new = LinkKeys(["a new key, longer than the old one"])
    assert only_new.token(issue(keys)), "new links are made with the first key"
    with pytest.raises(LookupError, match="LINK_KEY_FALLBACKS"):
        only_new.token(link)
    assert KEYS.fingerprint("erika@schule.example") != only_new.fingerprint("erika@schule.example")


def test_the_scan_for_secrets_after_every_test_finds_them(backend, app, erika):
    link = backend.issue(LinkKind.DESK, erika)
    for secret in (backend.keys.token(link), backend.keys.code(link).lower(), NEW_PASSWORD):
        backend.update(erika, phone=f"tel {secret}")
        with pytest.raises(AssertionError):
            secret_scan.check(app)
    backend.update(erika, phone="4711")


LETTER = (
    "FYRB-YB5G-7SKX",
    "FYRB YB5G 7SKX",
    "fyrbyb5g7skx",
    "FYRB–YB5G–7SKX",
    "fyrb - yb5g - 7skx",
    "ABCD EFGH JKLM",
    "FYRB YB5G\n7SKX",
    "FYRB.YB5G.7SKX",
    "fyrb-ybyg-xskx",
)
LINK = "https://konto.kmz.example/link/AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCde"


@pytest.mark.parametrize("secret", [
    *LETTER, "7KQM-3PAX", LINK.rpartition("/")[2], LINK, LINK.replace("/", "%2F"), LINK[:50] + "\n> " + LINK[50:],
    LINK[:50].replace("/", "%2F") + "\n" + LINK[50:],
])  # fmt: skip
def test_what_a_text_quotes_of_our_mails_and_letters_is_removed(secret):
    left = without_secrets(f"Guten Tag, {secret} geht nicht.").replace("https://konto.kmz.example", "")
    assert left.replace("https:%2F%2Fkonto.kmz.example", "") == "Guten Tag, (entfernt) geht nicht."


@pytest.mark.parametrize("text", [
    "V-7KQM-3PAX", "V 7KQM-3PAX", "Anna-Lena", "kann denn auch jemand helfen", "07051 2345 6789", "2345 6789 2345",
    "K-1001", "Frau K234 geht",
    "Haus 2345, Raum B2C4",
    "________________________________________________", "Donaudampfschifffahrtsgesellschaftskapitän",
    "Schreiben Sie an /kein-zugriff.",
])  # fmt: skip
def test_what_people_write_stays(text):
    assert without_secrets(f"Guten Tag, {text} geht nicht.") == f"Guten Tag, {text} geht nicht."
