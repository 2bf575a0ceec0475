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
from functools import partial
from operator import methodcaller
from urllib.parse import urlsplit

from aiosmtpd.controller import Controller

from bench import scale
from bench.systems import ALL, customers
from bench.table import figures, page, slower, timed
from tests.mail_server import MailServer
from tests.server.conftest import free_port

# BENCH_QUICK is one tiny round, to see whether all of it works.
ROUNDS, PAIRS, PEER_PAIRS, DEEDS = (1, 8, 4, 4) if os.environ.get("BENCH_QUICK") else (5, 100, 6, 12)
PORTAL, LIMIT, *PEERS = ALL


class PostOffice(MailServer):
    """Takes its time over each mail."""

    delay = 0.0  # seconds

    async def handle_DATA(self, *mail):  # noqa: N802
        await asyncio.sleep(self.delay)
        return await super().handle_DATA(*mail)


post_office = PostOffice()


def account_page(system):
    system.fetch("account", system.open("login")())
    figures["resident", system.name].append(system.memory("VmRSS"))


def logins(system):
    system.at_once("login", 4, [system.open("login") for _ in range(DEEDS)])


def forgotten(system, known, unknown):
    """Ask for known and unknown addresses in an order left to chance; return how many of either."""
    send, pairs = system.open("forgot"), PEER_PAIRS if system in PEERS else PAIRS
    for tx, who in random.sample([(known, ""), (unknown, "nobody-")] * pairs, 2 * pairs):
        timed(tx, system.name, send, who + next(customers))
    return pairs


def recoveries(system):
    """Ask for a new password, and set it by the links that come by mail."""
    wanted, until, found = forgotten(system, "known", "unknown"), time.monotonic() + 60, []
    while system is not LIMIT and len(found) < wanted:  # it posts none; to prove a password costs as much as to set one
        assert time.monotonic() < until, f"{system.name} posts {len(found)} links instead of {wanted}"
        time.sleep(0.1)
        found = re.findall(system.link, "\n".join(message.text for message in post_office.messages))
    post_office.reset()
    if found:
        system.at_once("redeem", 4, [system.open("redeem", urlsplit(link).path) for link in found[:PEER_PAIRS]])


def login_page_while(tx, system, form="login", people=1, backend=0):
    """Take the time of the login page as one visitor sees it while others send a form."""
    forms = [system.open(form) for _ in range(backend)]
    with ThreadPoolExecutor(people) as pool:
        others = pool.map(lambda send: send(), forms)
        time.sleep(0.5)  # until all are at it
        until = time.monotonic() + 1
        while time.monotonic() < until:
            timed(tx, system.name, system.open, "login")
        list(others)  # raises what went wrong with them


def slow_mail(system):
    post_office.delay = 0.5
    forgotten(system, "slow mail", "slow mail, unknown")


def storm(system):
    login_page_while("storm", system, "login", 16, 48)
    figures["peak", system.name].append(system.memory("VmHWM"))
    figures["carry Pillow", system.name] = [sum("PIL/" in (path / "maps").read_text() for path in system.processes())]


def stalled(system):
    post_office.delay = 5
    login_page_while("stalled", system, "forgot", 60, 60)
    system.stop()  # and whatever mail still waits


def compare(folder):
    for system in ALL:
        with sqlite3.connect(f"{folder}/{system.app.rpartition('.')[2]}.db") as database:
            system.fill_in(database)
    for system in ALL * 3:
        system.start()
    steps = [methodcaller("fetch", "login"), account_page, logins, recoveries] * ROUNDS
    for step in [*steps, partial(login_page_while, "quiet"), slow_mail, storm, stalled]:
        for system in ALL:
            step(system)
    known, unknown = (figures[kind, PORTAL.name] for kind in ("known", "unknown"))
    figures["P(known slower than unknown)", PORTAL.name] = [slower(known, unknown)]


signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # through what cleans up
sys.setswitchinterval(0.0001)  # seconds; the post office must not hold up who takes the time beside it
with tempfile.TemporaryDirectory(prefix="kmz-bench-") as folder:
    server = Controller(post_office, hostname="127.0.0.1", port=free_port())
    server.start()
    chosen = {"INSTANCE_PATH": folder, "PUBLIC_URL": f"http://{PORTAL.place}", "MAIL_SERVER": "127.0.0.1"}
    chosen |= {"MAIL_PORT": f"{server.port}", "RECOVERY_PER_SOURCE": "100000"}
    os.environ.update({f"KMZPORTAL_{name}": value for name, value in chosen.items()})
    try:
        compare(folder)
        scale.measure(folder, rounds=ROUNDS)
    finally:
        for system in ALL:
            system.stop()
        server.stop()
print(page())
