"""The verdicts of `make bench`."""

import pytest

from bench.table import figures, slower, verdict


@pytest.mark.parametrize(
    ("some", "others", "likelihood"),
    [((1, 2, 3), (1, 2, 3), 0.5), ((4, 5), (1, 2, 3), 1), ((1,), (2, 2), 0), ((2, 4), (1, 2, 3), 0.75)],
)
def test_the_likelihood_counts_every_pair_and_equal_ones_as_half(some, others, likelihood):
    assert slower(some, others) == pytest.approx(likelihood)


@pytest.mark.parametrize(
    ("value", "result"),
    [(0.44, "MISSED"), (0.45, "reached"), (0.5, "reached"), (0.55, "reached"), (0.56, "MISSED")],
)
def test_a_goal_has_a_lower_and_an_upper_bound(monkeypatch, value, result):
    monkeypatch.setitem(figures, ("storm", "the portal"), [value])
    assert result in verdict({"figure": "storm", "least": 0.45, "most": 0.55})


@pytest.mark.parametrize(
    ("portal", "row"),
    [((1.0, 2.0, 4.0), "≥ 2 | 2 | reached"), ((1.1, 2.1, 0.1), "≥ 2 | 1.9 | MISSED")],
)
def test_half_the_cost_is_judged_round_by_round(monkeypatch, portal, row):
    """A machine that slows down slows both. The median counts, so one outlier does not."""
    monkeypatch.setitem(figures, ("login page", "the portal"), list(portal))
    monkeypatch.setitem(figures, ("login page", "django-allauth"), [2.0, 4.0, 8.0])
    assert row in verdict({"figure": "login page", "other": "django-allauth", "least": 2})
