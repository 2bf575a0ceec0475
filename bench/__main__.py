"""make bench: the portal beside its limit and two public systems, in one run, interleaved round by round."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from urllib.parse import urlsplit

from bench import load, scale, table
from bench.systems import ALL, HERE, PEERS, PORTAL, System, free_port

CUSTOMERS = 10_000
QUICK = bool(os.environ.get("BENCH_QUICK"))  # one tiny round, to see whether all of it works
ROUNDS, SECONDS, LOGINS, PAIRS, PEER_PAIRS, STARTS, TURNS = (
    (1, 1, 4, 8, 4, 1, 3) if QUICK else (4, 2, 12, 125, 8, 3, 40)
)
SLOW_MAIL, STALLED_MAIL = 0.5, 5.0  # seconds for each mail
ASKING, STORMING = 60, 16  # people
SAME_COST = "$argon2id$v=19$m=65536,t=3,p=4$"

figures: table.Figures = defaultdict(list)


def measure(system: System, work: str, got: load.Pair) -> None:
    for name, value in zip((work, f"{work}/s"), got, strict=True):
        figures[name, system.name].append(value)


def one_round(system: System, folder: Path) -> None:
    """Pages, logins, asking for a new password, and setting it by the links that came by mail."""
    measure(system, "login page", load.pages(system, "login", "", SECONDS))
    measure(system, "account page", load.pages(system, "account", load.logging_in(system)(), SECONDS))
    figures["resident", system.name].append(system.memory("VmRSS"))
    measure(system, "login", load.at_once(system, [load.logging_in(system) for _ in range(LOGINS)]))
    pairs = PEER_PAIRS if system in PEERS else PAIRS
    known, unknown = load.known_and_unknown(system, pairs)
    figures["known", system.name] += known
    figures["unknown", system.name] += unknown
    there = links(system, folder, pairs)[:LOGINS]
    measure(system, "redeem", load.at_once(system, [load.redeeming(system, link) for link in there]))
    (folder / "letters").write_text("")


def links(system: System, folder: Path, wanted: int) -> list[str]:
    """Return the links that came by mail; of the limit, which posts none, the pages they would lead to."""
    if not system.link:
        return [f"/redeem/{load.customer()}" for _ in range(wanted)]
    for _ in range(600):
        if len(found := re.findall(system.link, (folder / "letters").read_text("utf-8"))) >= wanted:
            return [urlsplit(link).path for link in found]
        time.sleep(0.1)
    raise RuntimeError(f"{system.name} posts too few links")


def disturbed(system: System, folder: Path) -> None:
    """A slow mail server, a storm of logins, and a silent mail server."""
    delay = folder / "delay"
    delay.write_text(str(SLOW_MAIL))
    figures["slow mail", system.name] += load.known_and_unknown(system, PEER_PAIRS)[0]
    figures["quiet", system.name] += load.login_pages(system, SECONDS, load.customer, 0, again=False)
    system.forget_peak()
    figures["storm", system.name] += load.login_pages(system, SECONDS, load.logging_in(system), STORMING, again=True)
    figures["peak", system.name].append(system.memory("VmHWM"))
    delay.write_text(str(STALLED_MAIL))
    ask = load.sending(system, "forgot")
    figures["stalled", system.name] += load.login_pages(
        system, SECONDS, lambda: ask(load.customer()), ASKING, again=False
    )
    delay.write_text("0")
    system.stop()  # and whatever mail still waits


def run(folder: Path, mail_port: int) -> None:
    for system in ALL:
        if SAME_COST not in system.fill(folder, mail_port, CUSTOMERS):
            raise RuntimeError(f"{system.name} hashes at another cost")
    for system in ALL * STARTS:
        system.stop()
        figures["start", system.name].append(system.start(folder, mail_port))
    for turn, system in enumerate(ALL * ROUNDS):
        print(f"round {turn // len(ALL) + 1} of {ROUNDS}: {system.name}", file=sys.stderr)
        one_round(system, folder)
    carrying = ["PIL/_imaging" in (worker / "maps").read_text() for worker in PORTAL.web_workers()]
    figures["Pillow", PORTAL.name].append(sum(carrying))
    for system in ALL:
        print(f"disturbed: {system.name}", file=sys.stderr)
        disturbed(system, folder)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="kmz-bench-") as name:
        folder, mail_port = Path(name), free_port()
        for file, text in {"delay": "0", "letters": ""}.items():
            (folder / file).write_text(text)
        command = [sys.executable, "-m", "bench.post_office", str(mail_port), name]
        post_office = subprocess.Popen(command, cwd=HERE.parent)
        try:
            run(folder, mail_port)
        finally:
            for system in ALL:
                system.stop()
            post_office.terminate()
        print("a million customers", file=sys.stderr)
        scale.measure(figures, folder, TURNS)
    figures["puzzle", PORTAL.name] += [scale.draw() for _ in range(TURNS)]
    page = table.page(figures, "How fast the portal is" + " (a quick look, no measurement)" * QUICK)
    print(page)
    if not QUICK:
        (HERE / "results.md").write_text(page, "utf-8")


if __name__ == "__main__":
    main()
