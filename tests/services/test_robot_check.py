"""The robot check: the code from the mail has five tries, and a puzzle is answered once."""

import pytest

from kmzportal.domain.account_link import LinkKind
from kmzportal.services import account_link
from tests import cast

pytestmark = pytest.mark.usefixtures("clock")


def test_the_code_from_the_mail_opens_the_link(deeds, erika, issue):
    link = issue(LinkKind.DESK, erika)
    assert deeds.do(account_link.check_code, link, deeds.keys.code(link).lower().replace("-", " "))


def test_after_five_wrong_codes_the_right_one_comes_too_late(deeds, erika, issue):
    link = issue(LinkKind.DESK, erika)
    assert [deeds.do(account_link.check_code, link, "AAAA-AAAA") for _ in range(5)] == [False] * 5
    assert not deeds.do(account_link.check_code, link, deeds.keys.code(link))
    assert deeds.read(link).code_tries == 5
    assert deeds.history().count("link.code_wrong") == 6


def test_the_fifth_try_may_still_be_right(deeds, erika, issue):
    link = issue(LinkKind.DESK, erika)
    for _ in range(4):
        deeds.do(account_link.check_code, link, "AAAA-AAAA")
    assert deeds.do(account_link.check_code, link, deeds.keys.code(link))


def test_ten_codes_tried_at_once_are_five_tries(deeds, erika, issue):
    link = issue(LinkKind.DESK, erika)
    deeds.at_once(10, lambda work, link: account_link.check_code(work, link, "AAAA-AAAA"), link)
    assert deeds.read(link).code_tries == 5


def test_a_puzzle_is_answered_once(deeds):
    answered = [deeds.do(account_link.use_puzzle, "puzzle", cast.NOW) for _ in range(3)]
    assert answered == [True, False, False]


def test_of_answers_to_one_puzzle_at_once_one_counts(deeds):
    answered = deeds.at_once(6, lambda work: account_link.use_puzzle(work, "puzzle", cast.NOW))
    assert sorted(answered) == [False] * 5 + [True]
