"""The robot check: the code from the mail has five tries, and a puzzle is answered once."""

import pytest

from kmzportal.models.account_link import LinkKind
from kmzportal.services import links
from tests import people

pytestmark = pytest.mark.usefixtures("clock")


def test_the_code_from_the_mail_opens_the_link(backend, erika, issue):
    link = issue(LinkKind.DESK, erika)
    assert backend.run(links.check_code, link, backend.keys.code(link).lower().replace("-", " "))


def test_after_five_wrong_codes_the_right_one_comes_too_late(backend, erika, issue):
    link = issue(LinkKind.DESK, erika)
    assert [backend.run(links.check_code, link, "AAAA-AAAA") for _ in range(5)] == [False] * 5
    assert not backend.run(links.check_code, link, backend.keys.code(link))
    assert backend.read(link).code_tries == 5
    assert backend.actions().count("link.code_wrong") == 6


def test_the_fifth_try_may_still_be_right(backend, erika, issue):
    link = issue(LinkKind.DESK, erika)
    for _ in range(4):
        backend.run(links.check_code, link, "AAAA-AAAA")
    assert backend.run(links.check_code, link, backend.keys.code(link))


@pytest.mark.both_databases
def test_ten_codes_tried_at_once_are_five_tries(backend, erika, issue):
    link = issue(LinkKind.DESK, erika)
    backend.run_concurrently(10, lambda tx, link: links.check_code(tx, link, "AAAA-AAAA"), link)
    assert backend.read(link).code_tries == 5


def test_a_puzzle_is_answered_once(backend):
    answered = [backend.run(links.use_puzzle, "puzzle", people.NOW) for _ in range(3)]
    assert answered == [True, False, False]


@pytest.mark.both_databases
def test_of_answers_to_one_puzzle_at_once_one_counts(backend):
    answered = backend.run_concurrently(6, lambda tx: links.use_puzzle(tx, "puzzle", people.NOW))
    assert sorted(answered) == [False] * 5 + [True]
