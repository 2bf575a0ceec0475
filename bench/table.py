"""What was measured, and what it says: medians, ratios and verdicts, and the page they are written on."""

import os
import platform
import time
import tomllib
from collections import defaultdict
from math import inf
from operator import truediv
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
FACTS = tomllib.loads((HERE / "systems.toml").read_text("utf-8"))
figures = defaultdict(list)  #: by work, and by who does it


def timed(work, who, deed, *of):
    """Note the milliseconds that a deed takes."""
    began = time.perf_counter()
    deed(*of)
    figures[work, who].append((time.perf_counter() - began) * 1000)


def slower(some, others):
    """Return how likely one of `some` takes longer than one of `others`; a draw counts half."""
    return sum((a > b) + (a == b) / 2 for a in some for b in others) / (len(some) * len(others))


def verdict(goal):
    """Hold what the goal is about against its bounds, in proportion to another if it names one.

    What was measured in turns is compared turn by turn, as both had the same weather then; the median counts.
    """
    sides = [tuple(goal[side]) for side in ("of", "to") if side in goal]
    what, *others = (figures[side] for side in sides)
    beside = others[0] if others else [1.0] * len(what)
    in_turns = len(what) == len(beside)
    found = median(map(truediv, what, beside)) if in_turns else median(what) / median(beside)
    about = " to ".join(f"{FACTS['works'].get(work, work)}: {who}" for work, who in sides)
    bounds = [f"{sign} {goal[bound]:g}" for sign, bound in (("≥", "least"), ("≤", "most")) if bound in goal]
    reached = goal.get("least", 0) <= found <= goal.get("most", inf)
    return f"| {about} | {' and '.join(bounds)} | {found:.3g} | {'reached' if reached else 'MISSED'} |"


def page():
    """Return all of it as Markdown."""
    model = Path("/proc/cpuinfo").read_text().partition("model name\t: ")[2].partition("\n")[0]
    machine = f"{os.cpu_count()} × {model}, Python {platform.python_version()}, load {os.getloadavg()[2]:.1f}"
    names = [system["name"] for system in FACTS["system"]]
    rows = [f"| | {' | '.join(names)} |", "|---|--:|--:|--:|--:|"]
    for work, what in FACTS["works"].items():
        cells = [f"{median(found):.3g}" if (found := figures[work, name]) else "–" for name in names]
        rows.append(f"| {what} | {' | '.join(cells)} |")
    verdicts = ["Proportions are taken turn by turn, so they differ from those of the medians above.", ""]
    verdicts += ["| | goal | measured | |", "|---|---|--:|---|", *map(verdict, FACTS["goals"])]
    return "\n".join(["# How fast the portal is", "", machine, "", *rows, "", *verdicts, ""])
