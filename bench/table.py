"""The figures, whether they reach the goals, and both as Markdown."""

import os
import platform
import tomllib
from collections import defaultdict
from math import inf
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
FACTS = tomllib.loads((HERE / "systems.toml").read_text("utf-8"))
NAMES = [system["name"] for system in FACTS["systems"]]
LOAD = os.getloadavg()[0]  # before the measurements
figures = defaultdict(list)  #: by what was measured and the name of the system


def slower(some, others):
    """Return how likely one of `some` is greater than one of `others`; equal ones count half."""
    return sum((a > b) + (a == b) / 2 for a in some for b in others) / (len(some) * len(others))


def verdict(goal):
    """Return a row that compares the portal's median, or `other` divided by it round by round, with a goal's bounds."""
    what, values, least = FACTS["figures"][goal["figure"]], figures[goal["figure"], NAMES[0]], goal.get("least", 0)
    if other := goal.get("other"):
        rounds = zip(figures[goal["figure"], other], values, strict=True)
        what, values = f"{what}: {other} divided by {NAMES[0]}", [theirs / ours for theirs, ours in rounds]
    most = goal.get("most", inf)
    bounds = " and ".join([f"≥ {least:g}"] * (least > 0) + [f"≤ {most:g}"] * (most < inf))
    reached = "reached" if least <= median(values) <= most else "MISSED"
    return f"| {what} | {bounds} | {short(median(values))} | {reached} |"


def short(figure):
    return f"{float(f'{figure:.3g}'):g}"


def page():
    """Return the machine, the medians of all systems, and the goals."""
    model = Path("/proc/cpuinfo").read_text().partition("model name\t: ")[2].partition("\n")[0]
    machine = f"{os.cpu_count()} × {model}, Python {platform.python_version()}, load {LOAD:.1f} before"
    rows = ["# What the portal costs", "", machine, ""]
    rows += [f"| | {' | '.join(NAMES)} |", "|---" + "|--:" * len(NAMES) + "|"]
    for figure, what in FACTS["figures"].items():
        cells = [short(median(found)) if (found := figures[figure, name]) else "–" for name in NAMES]
        rows.append(f"| {what} | {' | '.join(cells)} |")
    measured = [goal for goal in FACTS["goals"] if figures[goal["figure"], NAMES[0]]]
    return "\n".join([*rows, "", "| | goal | measured | |", "|---|---|--:|---|", *map(verdict, measured), ""])
