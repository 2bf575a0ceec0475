"""What was measured, and what it says: medians, proportions and verdicts, and the page they are written on."""

import os
import platform
import timeit
import tomllib
from collections import defaultdict
from functools import partial
from math import inf
from pathlib import Path
from statistics import median, quantiles

HERE = Path(__file__).parent
FACTS = tomllib.loads((HERE / "systems.toml").read_text("utf-8"))
LOAD = os.getloadavg()[0]  # before the measuring begins
figures = defaultdict(list)  #: by work, and by who does it


def timed(tx, who, deed, *about, takes=1):
    """Note the milliseconds that a deed takes; of several takes, the middle."""
    figures[tx, who].append(median(timeit.repeat(partial(deed, *about), number=1, repeat=takes)) * 1000)


def slower(some, others):
    """Return how likely one of `some` takes longer than one of `others`; a draw counts half."""
    return sum((a > b) + (a == b) / 2 for a in some for b in others) / (len(some) * len(others))


def verdict(goal):
    """Hold what the goal is about against its bounds, in proportion to another if it names one.

    What was measured in turns is compared turn by turn, as both had the same weather then; the median counts, and
    the middle half of the turns is told beside it.
    """
    sides = [tuple(goal[side]) for side in ("of", "to") if side in goal]
    found, beside = figures[sides[0]], figures[sides[1]] if sides[1:] else [1.0]
    in_turns = zip(found, beside, strict=True) if len(found) == len(beside) else [(median(found), median(beside))]
    found = [one / other for one, other in in_turns]
    works, whose = (dict.fromkeys(each) for each in zip(*sides, strict=True))
    about = f"{' to '.join(FACTS['works'].get(tx, tx) for tx in works)}: {' to '.join(whose)}"
    low, middle, high = map(short, quantiles([*found, median(found)], n=4, method="inclusive"))
    bounds = " and ".join(f"{sign} {goal[bound]:g}" for sign, bound in (("≥", "least"), ("≤", "most")) if bound in goal)
    reached = goal.get("least", 0) <= median(found) <= goal.get("most", inf)
    spread = f" ({low} to {high})" if low != high else ""
    return f"| {about} | {bounds} | {middle}{spread} | {'reached' if reached else 'MISSED'} |"


def short(figure):
    return f"{float(f'{figure:.3g}'):g}"


def page():
    """Return all of it as Markdown."""
    model = Path("/proc/cpuinfo").read_text().partition("model name\t: ")[2].partition("\n")[0]
    machine = f"{os.cpu_count()} × {model}, Python {platform.python_version()}, load {LOAD:.1f} before"
    names = [system["name"] for system in FACTS["system"]]
    rows = [f"| | {' | '.join(names)} |", "|---|--:|--:|--:|--:|"]
    for tx, what in FACTS["works"].items():
        cells = [short(median(found)) if (found := figures[tx, name]) else "–" for name in names]
        rows.append(f"| {what} | {' | '.join(cells)} |")
    rows += ["", *FACTS["about"].strip().splitlines(), "", "| | goal | measured | |", "|---|---|--:|---|"]
    return "\n".join(["# How fast the portal is", "", machine, "", *rows, *map(verdict, FACTS["goals"]), ""])
