"""What the figures say: medians, ratios and verdicts, and the page they are written on."""

import os
import platform
import statistics
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

OURS, LIMIT, SECURITY, ALLAUTH = NAMES = "the portal", "the limit", "Flask-Security-Too", "django-allauth"
SMALL, MIDDLE, LARGE = 1_000, 50_000, 1_000_000
Figures = dict[tuple[str, str], list[float]]
WORKS: dict[str, str] = tomllib.loads((Path(__file__).parent / "systems.toml").read_text("utf-8"))["works"]


class Goal(NamedTuple):
    """A figure and the bounds it has to be within."""

    what: str
    value: float
    least: float = 0
    most: float = float("inf")

    @property
    def reached(self) -> bool:
        return self.least <= self.value <= self.most

    def __str__(self) -> str:
        bounds = [f"≥ {self.least:g}"] * (self.least > 0) + [f"≤ {self.most:g}"] * (self.most < float("inf"))
        return (
            f"| {self.what} | {' and '.join(bounds)} | {self.value:.3g} | {'reached' if self.reached else 'MISSED'} |"
        )


def slower(some: Sequence[float], others: Sequence[float]) -> float:
    """Return how likely one of `some` takes longer than one of `others`; a draw counts half."""
    return sum((a > b) + (a == b) / 2 for a in some for b in others) / (len(some) * len(others))


def p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def goals(figures: Figures) -> list[Goal]:
    def middle(work: str, of: str = OURS) -> float:
        return statistics.median(figures[work, of])

    def theirs(work: str, of: str, least: float) -> Goal:
        return Goal(f"{WORKS[work]}: {of} to ours", middle(work, of) / middle(work), least)

    def ours(work: str, to: str, most: float, of: str = OURS) -> Goal:
        return Goal(f"{WORKS[work]}: ours to {WORKS[to] if of == OURS else of}", middle(work) / middle(to, of), 0, most)

    found = [theirs("login page", SECURITY, 3), theirs("login page", ALLAUTH, 7), theirs("login page", LIMIT, 0.5)]
    found += [theirs("account page", of, least) for of, least in ((SECURITY, 2.2), (ALLAUTH, 2.2), (LIMIT, 0.5))]
    for work in ("login", "redeem"):
        found += [theirs(work, of, least) for of, least in ((SECURITY, 1.2), (ALLAUTH, 1.2), (LIMIT, 0.95))]
    found += [ours(work, work, 2, LIMIT) for work in ("known", "slow mail")]
    guess = slower(figures["known", OURS], figures["unknown", OURS])
    found += [Goal(f"P(known slower than unknown), {len(figures['known', OURS])} of each", guess, 0.45, 0.55)]
    found += [ours("stalled", "quiet", 2), ours("storm", "quiet", 3), ours("resident", "resident", 1.3, LIMIT)]
    found += [
        Goal(WORKS["peak"], middle("peak"), 0, 110),
        Goal("web workers that carry Pillow", middle("Pillow"), 0, 0),
    ]
    found += [ours("start", "start", 1.3, LIMIT), Goal("a puzzle, ms of processor", middle("puzzle"), 0, 60)]
    return found + scaled(figures)


def scaled(figures: Figures) -> list[Goal]:
    """From a thousand customers to a million: the deeds by their medians, the search by its slowest twentieth."""
    found = []
    for database in ("SQLite", "PostgreSQL"):
        for deed in ("login", "forgot", "look-up"):
            few, many = (statistics.median(figures[f"{deed}, {n}", database]) for n in (SMALL, LARGE))
            found.append(Goal(f"{deed} on {database}: {LARGE:,} customers to {SMALL:,}", many / few, 0, 1.15))
        for count, most in ((MIDDLE, 30), (LARGE, 100)):
            slow = p95(figures[f"search, {count}", database])
            found.append(Goal(f"search on {database}, {count:,} customers, p95 in ms", slow, 0, most))
    return found


def machine() -> str:
    model = Path("/proc/cpuinfo").read_text().partition("model name\t: ")[2].partition("\n")[0]
    memory = int(Path("/proc/meminfo").read_text().split()[1]) >> 20
    system = f"Linux {platform.release()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} × {model}, {memory} GiB, {system}, load {os.getloadavg()[2]:.1f}"


def page(figures: Figures, title: str) -> str:
    """Return all of it as Markdown."""
    rows = [f"| | {' | '.join(NAMES)} |", "|---|--:|--:|--:|--:|"]
    for work, what in WORKS.items():
        cells = [f"{statistics.median(figures[work, name]):.3g}" if figures[work, name] else "–" for name in NAMES]
        rows.append(f"| {what} | {' | '.join(cells)} |")
    verdicts = ["| | goal | measured | |", "|---|---|--:|---|", *map(str, goals(figures))]
    return "\n".join([f"# {title}", "", machine(), "", *rows, "", *verdicts, ""])
