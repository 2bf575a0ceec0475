"""Zugangsbrief: printed once, found by Kundennummer and code, throttled but never ended by wrong codes, objected to."""

from datetime import timedelta
from itertools import count

import pytest
from sqlalchemy import select

from kmzportal.models import CaseState, LinkKind, LinkState, Throttle
from kmzportal.services import accounts, audit, desk, guesses, links, retention, sessions, support
from kmzportal.services.passwords import hash_password
from kmzportal.services.refusals import AccountLocked, LinkUnusable
from kmzportal.services.tokens import CODE_ALPHABET
from tests import secret_scan
from tests.people import NEW_PASSWORD, NOW, OTHER_PASSWORD

pytestmark = pytest.mark.usefixtures("clock")
WRONG = "AAAA-AAAA-AAAA"
ELSEWHERE, SCHOOL = "198.51.100.9", "192.0.2.7"


@pytest.fixture
def print_letter(backend, as_clerk):
    """Print a letter, `seen` being the id of the newest one on the page of the clerk."""
    return lambda customer, seen=0, posted=False: as_clerk(
        desk.print_letter, customer, backend.read(customer).version, seen, "callback", "Sekretariat", posted
    )


@pytest.fixture
def find(backend):
    return lambda number, code, source=SCHOOL: backend.run(links.find_letter, number, code, source=source)


def test_a_letter_is_announced_recorded_and_counted_and_its_code_is_stored_nowhere(backend, erika, app, print_letter):
    letter, code = print_letter(erika, posted=True), backend.keys.letter_code(backend.links(LinkKind.LETTER)[0])
    assert (letter.email, letter.initials) == (erika.email, "ro")
    assert len(code.replace("-", "")) == 12 and set(code) <= {*CODE_ALPHABET, "-"}
    secret_scan.check(app, code)
    assert [(mail.template, mail.recipient) for mail in backend.mails()] == [("letter_printed", erika.email)]
    (objection,) = backend.links(LinkKind.OBJECTION)
    assert objection.expires_at == letter.expires_at, "the stored address can object as long as the letter counts"
    with backend.transaction() as tx:
        shown = [(event.label, event.remark, event.actor_label) for event in audit.history(tx.session, erika)]
    assert ("Zugangsbrief gedruckt, für die Post", "Rückruf – Sekretariat", "Kundenservice (ro)") in shown


@pytest.mark.parametrize("by", ["customer", "clerk"])
def test_the_number_alone_gets_no_letter_to_an_address_that_was_just_changed(backend, as_clerk, erika, clock, by):
    """Whoever has the number, as from a slip of the office, has a clerk enter his own address first."""
    wanted = {"street": "Diebstraße 1", "postcode": "75365", "town": "Calw"}
    backend.run(accounts.change_data, erika, wanted, actor=f"{by}:{erika.id}")

    def print_(check):
        as_clerk(desk.print_letter, erika, backend.read(erika).version, 0, check, "", True)

    with pytest.raises(desk.NumberAlone):
        print_("number")
    print_("callback")
    assert len(backend.links(LinkKind.LETTER)) == 1


def test_the_number_gets_a_letter_to_an_address_that_is_long_known_but_not_while_an_earlier_address_can_object(
    backend, as_clerk, erika, clock
):
    backend.run(accounts.request_address_change, erika, "erika.neu@gms-musterstadt.example")
    backend.run(accounts.confirm_address, backend.links(LinkKind.ADDRESS)[-1], NOW)
    letter = desk.print_letter, erika, backend.read(erika).version, 0, "number", "", True
    with pytest.raises(desk.NumberAlone):
        as_clerk(*letter)
    clock.shift(timedelta(days=8))
    assert as_clerk(*letter)


def test_a_page_that_was_sent_twice_prints_one_letter_and_a_newer_letter_ends_the_older(
    backend, erika, print_letter, find
):
    first = print_letter(erika)
    with pytest.raises(desk.LetterPrinted):
        print_letter(erika)
    assert len(backend.links(LinkKind.LETTER)) == 1 and len(backend.mails()) == 1
    second = print_letter(erika, seen=first.id)
    assert backend.read(first).state(NOW) is LinkState.REPLACED
    assert find(erika.number, backend.keys.letter_code(first)) is None
    assert find(erika.number, backend.keys.letter_code(second)).id == second.id


def test_of_concurrent_presses_of_the_button_one_prints(backend, erika):
    results = backend.run_concurrently(
        4, lambda tx, one: desk.print_letter(tx, one, one.version, 0, "callback", "", False), erika
    )
    assert sorted(type(result).__name__ for result in results) == ["AccountLink"] + ["LetterPrinted"] * 3
    assert len(backend.links(LinkKind.LETTER)) == len(backend.mails("letter_printed")) == 1


def test_no_letter_for_a_locked_account_and_none_is_sent_again_but_one_can_be_withdrawn(
    backend, as_clerk, erika, lieselotte, print_letter, find
):
    with pytest.raises(AccountLocked):
        print_letter(lieselotte)
    letter = print_letter(erika)
    with pytest.raises(LinkUnusable):
        as_clerk(desk.send_again, letter)
    as_clerk(desk.withdraw_link, letter)
    found = find(erika.number, backend.keys.letter_code(letter))
    assert found.state(NOW) is LinkState.WITHDRAWN, "whoever has the right code learns why it does not work"
    with pytest.raises(LinkUnusable):
        backend.run(accounts.set_password_by_link, letter, NOW, "hash")


@pytest.mark.parametrize("form", ["{}", " {} ", "lower", "without hyphens"])
def test_the_code_is_found_with_the_kundennummer_whatever_its_form(backend, erika, max_, print_letter, find, form):
    letter, of_max = print_letter(erika), print_letter(max_)
    code = backend.keys.letter_code(letter)
    typed = {"lower": code.lower(), "without hyphens": code.replace("-", " ")}.get(form, form.format(code))
    assert find(erika.number.lower(), typed).id == letter.id
    assert find(max_.number, typed) is find("K-9999", typed) is find("", typed) is None
    assert find(erika.number, backend.keys.letter_code(of_max)) is find(erika.number, backend.keys.code(letter)) is None
    assert find(erika.number, backend.keys.token(letter)) is None
    assert backend.read(letter).opened_at == NOW and backend.read(of_max).opened_at is None


def test_wrong_codes_make_a_source_wait_and_never_end_the_letter(backend, erika, print_letter, find, clock):
    """Not even as many as disable a password, and those of strangers elsewhere do not count."""
    letter = print_letter(erika)
    code = backend.keys.letter_code(letter)
    for number in range(6):
        assert find(erika.number, f"{WRONG}{number}") is None
    assert find(erika.number, code) is None
    assert backend.actions().count("letter.refused") == 1, "once an hour"
    assert find(erika.number, code, ELSEWHERE).id == letter.id
    for hour in range(120):
        clock.shift(timedelta(hours=1))
        assert find(erika.number, f"{WRONG}{hour}") is None
    assert backend.actions()[-1] == "letter.refused"
    clock.shift(timedelta(hours=1))
    assert find(erika.number, code).id == letter.id


def test_who_holds_a_letter_cannot_guess_its_kundennummer_from_many_sources(backend, erika, print_letter, find, clock):
    code = backend.keys.letter_code(print_letter(erika))
    for number in range(6):
        assert find(f"K-{number}", code, f"198.51.100.{number}") is None
    assert find(erika.number, f" {code.lower()}", ELSEWHERE) is None
    assert "letter.refused" not in backend.actions(), "nobody has these numbers"
    clock.shift(timedelta(hours=1))
    assert find(erika.number, code, ELSEWHERE)
    assert find(erika.number, WRONG, ELSEWHERE) is None and find(erika.number, code, ELSEWHERE), "the count is over"


def test_who_fails_at_many_letters_keeps_nobody_of_the_same_source_out(backend, erika, print_letter, find, log_in):
    """Failed letters count neither against logins nor against another letter; the page makes the source wait."""
    letter = print_letter(erika)
    for number in range(40):
        find(f"K-{number}", f"{WRONG}{number}")
    with backend.transaction("visitor", SCHOOL) as tx:
        assert guesses.counted_enough(tx.session, tx.now, SCHOOL) and not sessions.source_over_limit(tx)
    assert log_in(erika, source=SCHOOL)
    assert find(erika.number, backend.keys.letter_code(letter))


def test_a_throttled_letter_counts_as_a_guess_so_that_its_source_becomes_slow(backend, erika, find):
    for _ in range(guesses.PER_SOURCE):
        find(erika.number, WRONG)
    with backend.transaction("visitor", SCHOOL) as tx:
        assert guesses.counted_enough(tx.session, tx.now, SCHOOL)


def test_a_used_letter_sets_the_password_keeps_the_address_and_closes_the_case(
    backend, as_clerk, juergen, print_letter
):
    case = backend.run(
        lambda tx, person: support.open_case(tx, "other", "form", "x@y.example", "", customer=person), juergen
    )
    letter = print_letter(juergen)
    as_clerk(support.answer_with_link, case, juergen)
    backend.run(accounts.register, letter, NOW, juergen.version, {}, hash_password(NEW_PASSWORD))
    assert backend.log_in(juergen.email, NEW_PASSWORD)
    assert (backend.read(case).state, backend.read(case).closed_as) == (CaseState.CLOSED, "redeemed")
    assert [mail.facts["by_letter"] for mail in backend.mails("password_set")] == [True]


@pytest.mark.parametrize("used", [False, True])
def test_an_objection_ends_the_letter_and_the_password(backend, erika, print_letter, clock, used, log_in):
    letter = print_letter(erika)
    clock.shift(timedelta(days=2))
    if used:
        backend.run(accounts.set_password_by_link, letter, letter.issued_at, hash_password(OTHER_PASSWORD))
    (objection,) = backend.links(LinkKind.OBJECTION)
    backend.run(accounts.object_to_change, objection, letter.issued_at)
    saved = backend.read(erika)
    assert saved.locked_at and saved.password_hash is None
    assert backend.read(letter).ended_as == (LinkState.REDEEMED if used else LinkState.WITHDRAWN)


def test_whoever_finds_a_letter_tries_few_kundennummern_before_it_expires(backend, erika, print_letter, find, clock):
    code = backend.keys.letter_code(print_letter(erika))
    tries, minute = 0, 0
    while minute < 14 * 24 * 60:
        find(f"X-{minute}", code)
        backend.run(retention.purge)
        of_code = max((row.failures for row in backend.read(select(Throttle))), default=0)
        tries = max(tries, of_code)
        pause = 1 if of_code < 8 else 60
        clock.shift(timedelta(minutes=pause))
        minute += pause
    assert 20 < tries < 35


def test_of_many_kundennummern_at_once_few_are_compared_with_the_code(backend, erika, print_letter):
    code, number = backend.keys.letter_code(print_letter(erika)), count()
    backend.run_concurrently(10, lambda tx: links.find_letter(tx, f"X-{next(number)}", code))
    assert max(row.failures for row in backend.read(select(Throttle))) == links.FREE_WITH_CODE + 1
