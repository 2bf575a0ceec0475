"""What the measuring makes of its figures."""

import pytest

from bench.table import figures, slower, verdict

LOGIN = {"of": ["login page", "the limit"], "to": ["login page", "the portal"], "least": 0.5}


@pytest.mark.parametrize(
    ("some", "others", "chance"),
    [((1, 2, 3), (1, 2, 3), 0.5), ((4, 5), (1, 2, 3), 1), ((1,), (2, 2), 0), ((2, 4), (1, 2, 3), 0.75)],
)
def test_how_likely_one_takes_longer_counts_every_pair_and_a_draw_as_half(some, others, chance):
    assert slower(some, others) == pytest.approx(chance)


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.44, "MISSED"), (0.45, "reached"), (0.5, "reached"), (0.55, "reached"), (0.56, "MISSED")],
)
def test_a_goal_is_missed_on_either_side(monkeypatch, value, said):
    monkeypatch.setitem(figures, ("guess", "the portal"), [value])
    assert said in verdict({"of": ["guess", "the portal"], "least": 0.45, "most": 0.55})


@pytest.mark.parametrize(
    ("ours", "said"),
    [
        ((2.0, 4.0, 8.0), "0.5 | reached"),
        ((2.1, 4.2, 0.1), "0.476 (0.476 to 10.4) | MISSED"),
        ((9.0, 1.0, 3.0, 9.0), "0.333 | MISSED"),
    ],
)
def test_half_of_the_limits_speed_is_twice_its_cost(monkeypatch, ours, said):
    """Turn by turn, as a machine that slows down slows both; without turns the medians count. One outlier does not."""
    monkeypatch.setitem(figures, ("login page", "the portal"), list(ours))
    monkeypatch.setitem(figures, ("login page", "the limit"), [1.0, 2.0, 4.0])
    assert said in verdict(LOGIN)
