"""Links: the policy of each kind, redeemed once, renewed, refused, and the robot check."""

import time
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise

import pytest

from kmzportal.models import CODE_TRIES, RENEWALS, AccountLink, LinkKind, LinkState
from kmzportal.services import accounts, desk, keys, links
from kmzportal.services.passwords import hash_password
from kmzportal.services.refusals import AccountLocked, LinkUnusable
from kmzportal.services.tokens import LinkKeys
from tests.people import NEW_PASSWORD, NOW

pytestmark = pytest.mark.usefixtures("clock")
SECOND = timedelta(seconds=1)
WRONG_CODE = "AAAA-AAAA"

# The policy of each kind, as the product promises it. How long a mail with it is worth sending: test_outbox.py

KINDS = list(LinkKind)
LIFETIMES = {  # hours
    LinkKind.RECOVERY: 2,
    LinkKind.DESK: 72,
    LinkKind.ADDRESS: 24,
    LinkKind.CLERK_FIRST: 72,
    LinkKind.OBJECTION: 168,
    LinkKind.LETTER: 336,
}
SETS_PASSWORD = {LinkKind.RECOVERY, LinkKind.DESK, LinkKind.CLERK_FIRST, LinkKind.LETTER}
ONE_AT_A_TIME = {LinkKind.DESK, LinkKind.ADDRESS, LinkKind.CLERK_FIRST, LinkKind.LETTER}
#: A new password also withdraws the link to an address that the customer asked for: test_accounts.py
ENDS_WITH_PASSWORD = {LinkKind.RECOVERY, LinkKind.CLERK_FIRST, LinkKind.ADDRESS}
ENDS_WITH_ADDRESS = {*KINDS} - {LinkKind.OBJECTION}
WORKS_WHEN_LOCKED = {LinkKind.OBJECTION}
RENEWABLE = {LinkKind.RECOVERY, LinkKind.DESK, LinkKind.ADDRESS}


@pytest.fixture
def holders(erika, rosa):
    return dict.fromkeys(KINDS, erika) | {LinkKind.CLERK_FIRST: rosa}


@pytest.mark.parametrize("kind", KINDS)
def test_lifetime_and_a_form_that_was_opened_in_time_and_whether_it_sets_a_password(backend, holders, clock, kind):
    link, holder = backend.issue(kind, holders[kind]), holders[kind]
    assert link.expires_at == NOW + timedelta(hours=LIFETIMES[kind])
    clock.move_to(link.expires_at + timedelta(minutes=20))
    with pytest.raises(LinkUnusable):
        backend.run(links.redeem, link, link.expires_at, [kind])
    assert backend.read(link).state(link.expires_at) is LinkState.EXPIRED
    with suppress(LinkUnusable):
        backend.run(accounts.set_password_by_link, link, link.expires_at - SECOND, "hash")
    assert (backend.read(holder).password_hash == "hash") is (kind in SETS_PASSWORD)
    if kind not in SETS_PASSWORD:
        backend.run(links.redeem, link, link.expires_at - SECOND, [kind])


@pytest.mark.parametrize("kind", KINDS)
def test_what_ends_it_and_whether_it_counts_only_for_a_current_address(backend, holders, max_, kind):
    """A newer one, a new password, a new address, a lock."""
    holder = holders[kind]
    former, first = backend.issue(kind, holder, "former@schule.example"), backend.issue(kind, holder)
    second = backend.issue(kind, holder)
    of_another = backend.issue(kind, max_) if kind is not LinkKind.CLERK_FIRST else second
    assert backend.read(first).state(NOW) is (LinkState.REPLACED if kind in ONE_AT_A_TIME else LinkState.OPEN)
    assert backend.read(second).state(NOW) is backend.read(of_another).state(NOW) is LinkState.OPEN

    backend.update(former, ended_at=None, ended_as=None)
    usable = [backend.run(lambda tx, link: link.usable(NOW), link) for link in (former, second)]
    assert usable == [kind not in ENDS_WITH_ADDRESS, True]

    backend.run(accounts.set_password, holder, hash_password(NEW_PASSWORD))
    assert (backend.read(second).state(NOW) is not LinkState.OPEN) is (kind in ENDS_WITH_PASSWORD)
    backend.update(second, ended_at=None, ended_as=None)
    backend.run(accounts.lock, holder)
    assert (backend.read(second).state(NOW) is LinkState.WITHDRAWN) is (kind in ENDS_WITH_ADDRESS)


@pytest.mark.parametrize("kind", KINDS)
def test_works_when_locked(backend, holders, kind):
    """Issued before the lock or after it."""
    link = backend.issue(kind, holders[kind])
    backend.update(holders[kind], locked_at=NOW)
    for function, arguments in ((links.redeem, (link, NOW, [kind])), (links.issue, (kind, holders[kind]))):
        if kind in WORKS_WHEN_LOCKED:
            backend.run(function, *arguments)
        else:
            with pytest.raises(AccountLocked):
                backend.run(function, *arguments)
            assert backend.actions()[-1] == "link.refused"
    assert len(backend.links()) == (2 if kind in WORKS_WHEN_LOCKED else 1)


@pytest.mark.parametrize("kind", KINDS)
def test_renewable(backend, holders, clock, kind):
    link = backend.issue(kind, holders[kind])
    clock.move_to(link.expires_at)
    if kind in RENEWABLE:
        renewed = backend.run(links.renew, link)
        assert (renewed.kind, renewed.email, renewed.initials) == (kind, link.email, "ro")
        assert backend.mails()[-1].link_id == renewed.id
    else:
        with pytest.raises(LinkUnusable):
            backend.run(links.renew, link)


# Issued, found and redeemed


def test_a_link_and_a_letter_of_a_removed_key_are_found_no_more(backend, erika, clock, as_clerk):
    """Whoever stole the key and a copy of the database derives them."""
    link = backend.issue(LinkKind.DESK, erika)
    letter = as_clerk(desk.print_letter, erika, backend.read(erika).version, 0, "callback", "", False)
    token, code = backend.keys.token(link), backend.keys.letter_code(letter)
    objection = backend.keys.token(backend.links(LinkKind.OBJECTION)[-1])
    for known, found in ((["new" * 20, backend.app.config["LINK_KEY"]], True), (["new" * 20], False)):
        with backend.transaction() as tx:
            tx.keys = LinkKeys(known)
            assert bool(links.find(tx.session, tx.keys, token)) == found
            assert links.find(tx.session, tx.keys, objection), "its owner may need it"
            assert bool(links.find_letter(tx, erika.number, code)) == found


@pytest.mark.parametrize("rotated", [True, False])
def test_a_link_key_that_is_replaced_without_its_former_one_ends_what_was_opened_with_it(
    app, backend, erika, monkeypatch, rotated
):
    backend.run(keys.take)
    link, objection = backend.issue(LinkKind.DESK, erika), backend.issue(LinkKind.OBJECTION, erika)
    with monkeypatch.context() as replaced:
        replaced.setitem(app.config, "LINK_KEY_FALLBACKS", [app.config["LINK_KEY"]] if rotated else [])
        replaced.setitem(app.config, "LINK_KEY", "new" * 20)
        backend.run(keys.take)
    assert (backend.read(link).ended_as, backend.read(objection).ended_as) == (None if rotated else "withdrawn", None)
    assert [mail.state for mail in backend.mails("desk_link")] == ["queued" if rotated else "cancelled"]


def test_a_link_is_found_by_its_token_only_and_its_opening_is_recorded_once(backend, erika, max_, clock):
    link, _ = backend.issue(LinkKind.RECOVERY, erika), backend.issue(LinkKind.RECOVERY, max_)
    with backend.transaction() as tx:
        assert links.find(tx.session, tx.keys, backend.keys.token(link)).id == link.id
        for guess in ("", "x" * 43, link.token_hash, link.nonce):
            assert links.find(tx.session, tx.keys, guess) is None
    for _ in range(2):
        backend.run(links.mark_opened, link)
        clock.shift(60)
    assert backend.read(link).opened_at == NOW
    assert backend.actions().count("link.opened") == 1


@pytest.mark.parametrize(("issued", "uses"), [(1, 6), (4, 4)])
def test_of_concurrent_uses_of_one_or_several_links_of_a_person_one_succeeds(backend, erika, issued, uses):
    """The other links of the person end with the password, which must not deadlock."""
    turns = iter([backend.issue(LinkKind.RECOVERY, erika) for _ in range(issued)] * (uses // issued))

    def use_the_next(tx):
        link = tx.session.get(AccountLink, next(turns).id)
        accounts.set_password_by_link(tx, link, NOW, f"hash of {link.id}")

    results = backend.run_concurrently(uses, use_the_next)
    assert sorted(type(result).__name__ for result in results) == ["LinkUnusable"] * (uses - 1) + ["NoneType"]
    assert backend.read(erika).version == erika.version + 1
    assert len(backend.mails("password_set")) == 1
    assert backend.actions().count("link.refused") == uses - 1


def test_of_links_issued_concurrently_by_the_desk_one_stays_open(backend, erika):
    backend.run_concurrently(4, lambda tx, erika: links.issue(tx, LinkKind.DESK, erika), erika)
    assert [link.ended_at for link in backend.links()].count(None) == 1


@pytest.mark.postgresql  # SQLite lets no other transaction begin
def test_a_lock_committed_while_the_transaction_runs_counts(backend, erika):
    link = backend.issue(LinkKind.RECOVERY, erika)
    with pytest.raises(AccountLocked), backend.transaction() as tx:
        mine = tx.session.get(AccountLink, link.id)
        assert mine.holder.locked_at is None
        backend.update(erika, locked_at=NOW)
        accounts.set_password_by_link(tx, mine, NOW, "hash")
    assert backend.read(erika).password_hash == erika.password_hash


@pytest.mark.parametrize(
    ("act", "right"), [(accounts.confirm_address, LinkKind.ADDRESS), (accounts.object_to_change, LinkKind.OBJECTION)]
)
def test_an_act_takes_only_links_of_its_kind(backend, juergen, act, right):
    for kind in {*KINDS} - {LinkKind.CLERK_FIRST, right}:
        link = backend.issue(kind, juergen, juergen.pending_email)
        with pytest.raises(LinkUnusable):
            backend.run(act, link, NOW)
    saved = backend.read(juergen)
    assert (saved.email, saved.locked_at) == (juergen.email, None)


# Renewed


@pytest.mark.parametrize(
    ("fields", "renewable"),
    [
        ({"expires_at": NOW}, True),
        ({"ended_at": NOW, "ended_as": LinkState.REPLACED}, True),
        ({"code_tries": CODE_TRIES}, True),
        ({"code_tries": CODE_TRIES - 1}, False),
        ({}, False),
        ({"ended_at": NOW, "ended_as": LinkState.WITHDRAWN}, False),
        ({"ended_at": NOW, "ended_as": LinkState.WITHDRAWN, "code_tries": CODE_TRIES}, False),
        ({"ended_at": NOW, "ended_as": LinkState.REDEEMED, "code_tries": CODE_TRIES}, False),
        ({"expires_at": NOW, "renewals": RENEWALS}, False),
        ({"expires_at": NOW, "email": "former@schule.example"}, False),
    ],
)
def test_a_link_is_renewed_if_it_expired_was_replaced_or_its_code_is_used_up(backend, erika, fields, renewable):
    link = backend.issue(LinkKind.DESK, erika)
    backend.update(link, **fields)
    if renewable:
        renewed = backend.run(links.renew, link)
        assert renewed.code_tries == 0
        assert backend.run(links.check_code, renewed, backend.keys.code(renewed))
    else:
        with pytest.raises(LinkUnusable):
            backend.run(links.renew, link)


def test_old_and_new_links_together_are_renewed_three_times_at_most_also_concurrently(backend, erika, clock):
    link = backend.issue(LinkKind.DESK, erika)
    for _ in range(2):
        clock.shift(timedelta(hours=73))
        backend.run(links.renew, link)
    clock.shift(timedelta(hours=73))
    chain = iter(backend.links())
    results = backend.run_concurrently(3, lambda tx: links.renew(tx, tx.session.get(AccountLink, next(chain).id)))
    assert [type(result) for result in results].count(LinkUnusable) == 2
    clock.shift(timedelta(hours=73))
    for one in backend.links():
        with pytest.raises(LinkUnusable):
            backend.run(links.renew, one)
    assert len(backend.mails("desk_link")) == 1 + RENEWALS


# The robot check: the code from the mail, or a puzzle


@pytest.mark.parametrize("typed", ["", "ABCD-EFG", "ABCD-EFGHJ", "AB CD", "x" * 10_000])
def test_neither_a_right_code_nor_what_is_no_code_costs_a_try(backend, erika, typed):
    link = backend.issue(LinkKind.DESK, erika)
    for _ in range(CODE_TRIES + 1):
        assert not backend.run(links.check_code, link, typed)
        assert backend.run(links.check_code, link, backend.keys.code(link).lower().replace("-", " "))
    assert (backend.read(link).code_tries, backend.actions().count("link.code_wrong")) == (0, 0)


def test_of_codes_five_are_compared_also_of_ten_entered_concurrently(backend, erika, max_):
    link, other = backend.issue(LinkKind.DESK, erika), backend.issue(LinkKind.DESK, max_)
    for _ in range(CODE_TRIES):
        assert not backend.run(links.check_code, link, WRONG_CODE)
    assert not backend.run(links.check_code, link, backend.keys.code(link))
    assert backend.actions().count("link.code_wrong") == CODE_TRIES
    backend.run_concurrently(10, lambda tx, link: links.check_code(tx, link, WRONG_CODE), other)
    assert [backend.read(one).code_tries for one in (link, other)] == [CODE_TRIES] * 2


def test_of_concurrent_answers_to_one_puzzle_one_counts(backend):
    answered = backend.run_concurrently(6, lambda tx: links.use_puzzle(tx, "puzzle", NOW))
    assert sorted(answered) == [False] * 5 + [True]
    assert not backend.run(links.use_puzzle, "puzzle", NOW)


def test_the_id_in_the_urls_of_a_link_tells_nothing_of_links_of_others(issue, erika, max_, clock, random_ids):
    """Otherwise two links of one's own tell whether there was one for an address in between, so whether it is known."""
    ids = []
    for person in (max_, erika, max_) * 5:
        ids.append(issue(LinkKind.RECOVERY, person).id)
        clock.shift(SECOND)
    steps = {later - earlier for earlier, later in pairwise(ids)}
    assert ids != sorted(ids) and len(steps) == len(ids) - 1
    assert max(ids) < 10**18, "forms and URLs take 18 digits"


def test_the_first_use_of_a_link_and_an_act_of_the_desk_at_the_same_moment_do_not_stop_each_other(
    backend, as_clerk, erika, issue
):
    """Had each locked what the other needs next, PostgreSQL would end one of them, mostly that of the link."""
    link = issue(LinkKind.RECOVERY, erika)

    def use(begun):
        with backend.transaction("visitor") as tx:
            mine = tx.session.get_one(AccountLink, link.id)
            links.mark_opened(tx, mine)
            tx.session.flush()
            begun.set()
            time.sleep(0.5)  # the clerk's act arrives meanwhile
            accounts.set_password_by_link(tx, mine, NOW, "hash")

    backend.at_once(use, lambda: as_clerk(desk.lock, erika, "Verdacht"))
    saved = backend.read(erika)
    assert (saved.password_hash, bool(saved.locked_at)) == ("hash", True)
