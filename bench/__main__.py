"""make bench: the portal beside its limit and two public systems, in one run, all four taking turns at each step."""

import asyncio
import os
import random
import re
import signal
import sqlite3
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from aiosmtpd.controller import Controller

from bench import scale
from bench.systems import ALL, customers
from bench.table import HERE, figures, page, slower, timed
from tests.e2e.mailbox import Mailbox
from tests.server.conftest import free_port

QUICK = bool(os.environ.get("BENCH_QUICK"))  # one tiny round, to see whether all of it works
ROUNDS, PAIRS, TURNS = (1, 8, 3) if QUICK else (5, 100, 9)
DEEDS, PEER_PAIRS, UNHURRIED = 12, 8, 24
SAME_COST = "$argon2id$v=19$m=65536,t=3,p=4$"
PORTAL, LIMIT, *PEERS = ALL


class PostOffice(Mailbox):
    """Takes its time over each mail."""

    delay = 0.0

    async def handle_DATA(self, *mail):  # noqa: N802
        await asyncio.sleep(self.delay)
        return await super().handle_DATA(*mail)


post_office = PostOffice()
sys.setswitchinterval(0.0001)  # seconds; the post office must not hold up who takes the time beside it


def ask_for_passwords(system, pairs, known, unknown):
    """Ask for known and unknown addresses in an order left to chance."""
    send = system.open("forgot")
    for work, who in random.sample([(known, ""), (unknown, "nobody-")] * pairs, 2 * pairs):
        timed(work, system.name, send, who + next(customers))


def links(system, wanted):
    """Return the links that come by mail."""
    found, until = [], time.monotonic() + 60
    while len(found) < wanted:
        assert time.monotonic() < until, f"{system.name} posts {len(found)} links instead of {wanted}"
        time.sleep(0.1)
        found = re.findall(system.link, "\n".join(letter.text for letter in post_office.letters))
    post_office.empty()
    return [urlsplit(link).path for link in found[:PEER_PAIRS]]


def login_page(system):
    system.fetch("login")


def account_page(system):
    system.fetch("account", system.open("login")())
    figures["resident", system.name].append(system.memory("VmRSS"))


def logins(system):
    system.at_once("login", 4, [system.open("login") for _ in range(DEEDS)])


def recoveries(system):
    """Ask for a new password, and set it by the links that come by mail."""
    pairs = PEER_PAIRS if system in PEERS else PAIRS
    ask_for_passwords(system, pairs, "known", "unknown")
    if system is not LIMIT:  # which posts none; to prove a password costs as much as to set one
        system.at_once("redeem", 4, [system.open("redeem", link) for link in links(system, pairs)])


def login_page_while(work, system, form="login", people=1, deeds=0):
    """Take the time of the login page as one visitor sees it while others send a form."""
    forms = [system.open(form) for _ in range(deeds)]
    with ThreadPoolExecutor(people) as pool:
        others = [pool.submit(send) for send in forms]
        time.sleep(0.5)  # until all are at it
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            timed(work, system.name, system.open, "login")
        for other in others:
            other.result()


def disturbed(system):
    """Nothing, a slow mail server, a storm of logins, and a silent mail server."""
    login_page_while("quiet", system)
    post_office.delay = 0.5
    pairs = PEER_PAIRS if system in PEERS else UNHURRIED
    ask_for_passwords(system, pairs, "slow mail", "slow mail, unknown")
    login_page_while("storm", system, "login", 16, 48)
    figures["peak", system.name].append(system.memory("VmHWM"))
    post_office.delay = 5
    login_page_while("stalled", system, "forgot", 60, 60)
    post_office.delay = 0
    system.stop()  # and whatever mail still waits


def enter_customers(folder):
    for system in ALL:
        hashed = system.run("python", "-m", system.app).communicate()[0].strip()
        assert SAME_COST in hashed, f"{system.name} does not hash at the same cost"
        with sqlite3.connect(f"{folder}/{system.app.rpartition('.')[2]}.db") as database:
            for statement in system.fill:
                database.execute(statement, {"password_hash": hashed})


def compare():
    for system in ALL * 3:
        system.start()
    for do in (login_page, account_page, logins, recoveries) * ROUNDS:
        for system in ALL:
            do(system)
    carrying = ["PIL/_imaging" in (path / "maps").read_text() for path in PORTAL.processes()]
    figures["web workers that carry Pillow", PORTAL.name] = [sum(carrying)]
    times = (figures[kind, PORTAL.name] for kind in ("known", "unknown"))
    figures["P(known slower than unknown)", PORTAL.name] = [slower(*times)]
    for system in ALL:
        disturbed(system)


signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # through what cleans up
with tempfile.TemporaryDirectory(prefix="kmz-bench-") as folder:
    server = Controller(post_office, hostname="127.0.0.1", port=free_port())
    server.start()
    chosen = {"INSTANCE_PATH": folder, "PUBLIC_URL": f"http://{PORTAL.place}", "MAIL_SERVER": "127.0.0.1"}
    chosen |= {"MAIL_PORT": f"{server.port}", "RECOVERY_PER_SOURCE": "100000"}
    os.environ.update({f"KMZPORTAL_{name}": value for name, value in chosen.items()})
    try:
        enter_customers(folder)
        compare()
        scale.measure(folder, TURNS)
    finally:
        for system in ALL:
            system.stop()
        server.stop()
print(page())
if not QUICK:
    (HERE / "results.md").write_text(page(), "utf-8")
