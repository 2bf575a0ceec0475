"""What the measuring makes of its figures."""

from collections import defaultdict

import pytest

from bench.table import LIMIT, OURS, Goal, goals, slower


@pytest.mark.parametrize(
    ("some", "others", "chance"),
    [((1, 2, 3), (1, 2, 3), 0.5), ((4, 5), (1, 2, 3), 1), ((1,), (2, 2), 0), ((2, 4), (1, 2, 3), 0.75)],
)
def test_how_likely_one_takes_longer_counts_every_pair_and_a_draw_as_half(some, others, chance):
    assert slower(some, others) == pytest.approx(chance)


def test_a_goal_is_missed_on_either_side():
    assert [Goal("", value, 0.45, 0.55).reached for value in (0.44, 0.45, 0.5, 0.55, 0.56)] == [
        False,
        *[True] * 3,
        False,
    ]


def test_half_of_the_limits_speed_is_twice_its_cost():
    figures = defaultdict(lambda: [1.0, 1.0])
    figures["login page", OURS], figures["login page", LIMIT] = [2.0, 2.2, 9.0], [1.0, 1.1, 1.2]
    (beside,) = [goal for goal in goals(figures) if "login page, ms" in goal.what and LIMIT in goal.what]
    assert beside.value == pytest.approx(0.5)
    assert beside.reached
