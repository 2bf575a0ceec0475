"""Tokens and codes come from a key that is not in the database; a link knows when it is over."""

import re
from datetime import timedelta

import pytest

from kmzportal.models.account_link import CODE_TRIES, RENEWALS, AccountLink, LinkKind, LinkState
from kmzportal.models.customer import Customer
from kmzportal.services.tokens import CODE_ALPHABET, LinkKeys, token_hash
from tests.people import NOW

KEYS = LinkKeys(["a present key of many characters"])


def issued(keys=KEYS, **fields):
    nonce, hashed = keys.nonce_and_hash()
    times = {"issued_at": NOW - timedelta(hours=2), "expires_at": NOW + timedelta(hours=2)}
    fields = {"kind": LinkKind.DESK, "code_tries": 0, "renewals": 0, **times, **fields}
    erika = Customer(email="erika@schule.example")
    return AccountLink(nonce=nonce, token_hash=hashed, customer=erika, email=erika.email, **fields)


def test_a_token_has_43_url_safe_characters():
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", KEYS.token(issued()))


def test_no_two_links_have_the_same_token():
    assert len({KEYS.nonce_and_hash() for _ in range(20_000)}) == 20_000
    assert len({KEYS.token(issued()) for _ in range(2_000)}) == 2_000


def test_the_row_holds_only_the_tokens_hash():
    link = issued()
    assert link.token_hash == token_hash(KEYS.token(link))
    assert KEYS.token(link) not in {link.nonce, link.token_hash}


def test_a_retry_sends_the_same_link_and_the_same_code():
    link = issued()
    assert KEYS.token(link) == KEYS.token(link)
    assert KEYS.code(link) == KEYS.code(link)


def test_a_code_has_eight_signs_that_nobody_misreads():
    codes = [KEYS.code(issued()) for _ in range(500)]
    assert all(re.fullmatch(rf"[{CODE_ALPHABET}]{{4}}-[{CODE_ALPHABET}]{{4}}", code) for code in codes)
    assert not set("IO01") & set("".join(codes))
    assert set("".join(codes)) == {*CODE_ALPHABET, "-"}


@pytest.mark.parametrize(
    "spoil",
    [str.lower, lambda code: code.replace("-", ""), lambda code: f"  {' '.join(code)} ", lambda code: f"{code}."],
)
def test_blanks_hyphens_and_case_of_a_code_are_forgiven(spoil):
    link = issued()
    assert KEYS.code_matches(link, spoil(KEYS.code(link)))


@pytest.mark.parametrize("typed", ["", "-", "ABCD", "ÄÖÜß-ÄÖÜß", "\u0661" * 8])
def test_another_code_opens_nothing(typed):
    assert not KEYS.code_matches(issued(), typed)


def test_the_code_of_one_link_does_not_open_another():
    assert not KEYS.code_matches(issued(), KEYS.code(issued()))


def test_mail_that_waited_while_the_key_was_replaced_still_gets_its_own_link():
    link = issued()
    keys = LinkKeys(["a new key, longer than the old one", "a present key of many characters"])
    assert keys.token(link) == KEYS.token(link)
    assert keys.code(link) == KEYS.code(link)


def test_new_links_are_made_with_the_first_key_alone():
    link = issued(LinkKeys(["new key", "old key"]))
    assert LinkKeys(["new key"]).token(link)


def test_a_link_whose_key_is_gone_says_so():
    with pytest.raises(LookupError, match="LINK_KEY_FALLBACKS"):
        LinkKeys(["another key"]).token(issued())


def test_what_is_counted_cannot_be_read_or_guessed_without_the_key():
    assert KEYS.fingerprint("erika@schule.example") != LinkKeys(["another"]).fingerprint("erika@schule.example")
    assert "erika" not in KEYS.fingerprint("erika@schule.example")


def test_a_link_lives_until_the_second_it_expires():
    link = issued(expires_at=NOW)
    assert link.state(NOW - timedelta(seconds=1)) is LinkState.OPEN
    assert link.state(NOW) is LinkState.EXPIRED


@pytest.mark.parametrize("ended", [LinkState.REDEEMED, LinkState.WITHDRAWN, LinkState.REPLACED])
def test_an_ended_link_stays_what_it_was_ended_as(ended):
    link = issued(ended_at=NOW, ended_as=ended)
    assert link.state(NOW) is link.state(NOW + timedelta(days=9)) is ended
    assert not link.usable(NOW - timedelta(hours=1))


@pytest.mark.parametrize(
    ("kind", "fields", "renewable"),
    [
        (LinkKind.DESK, {"expires_at": NOW}, True),
        (LinkKind.RECOVERY, {"expires_at": NOW}, True),
        (LinkKind.ADDRESS, {"ended_as": LinkState.REPLACED}, True),
        (LinkKind.DESK, {"code_tries": CODE_TRIES}, True),
        (LinkKind.DESK, {"code_tries": CODE_TRIES - 1}, False),
        (LinkKind.DESK, {}, False),
        (LinkKind.DESK, {"ended_as": LinkState.WITHDRAWN}, False),
        (LinkKind.DESK, {"ended_as": LinkState.WITHDRAWN, "code_tries": CODE_TRIES}, False),
        (LinkKind.DESK, {"ended_as": LinkState.REDEEMED, "code_tries": CODE_TRIES}, False),
        (LinkKind.DESK, {"expires_at": NOW, "renewals": RENEWALS}, False),
        (LinkKind.OBJECTION, {"expires_at": NOW}, False),
        (LinkKind.CLERK_FIRST, {"expires_at": NOW}, False),
    ],
)
def test_only_links_that_died_by_themselves_are_renewed(kind, fields, renewable):
    assert issued(kind=kind, **fields).renewable(NOW) is renewable
