"""make bench: processor time, memory and answer times of the portal and two other systems, and of searches.

`python -m bench pages memory` measures only these parts. BENCH_QUICK=1 takes few measurements, to try it out.
"""

import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from aiosmtpd.controller import Controller

from bench import oracles, search
from bench.systems import PORTAL, SYSTEMS, Form, emails
from bench.table import figures, page, slower
from tests.server.conftest import free_port

QUICK = bool(os.environ.get("BENCH_QUICK"))
ROUNDS, PAGES, LOGINS = (1, 50, 4) if QUICK else (5, 1000, 12)


class SlowMailServer:
    """Accepts each mail after half a second."""

    async def handle_DATA(self, *_mail):  # noqa: N802
        await asyncio.sleep(0.5)
        return "250 OK"


def milliseconds_since(began):
    return (time.perf_counter() - began) * 1000


def measure_pages():
    """Processor time of pages and logins. The systems take turns, as the speed of a shared machine changes."""
    with ExitStack() as stack:
        for system in SYSTEMS:
            stack.enter_context(system.running())
        for _ in range(ROUNDS):
            for system in SYSTEMS:
                with system.measure_cpu("login page", PAGES):
                    system.fetch("login", PAGES)
                cookies = Form(system, "login").submit(next(emails))
                with system.measure_cpu("account page", PAGES):
                    system.fetch("account", PAGES, cookies)
                forms = [Form(system, "login") for _ in range(LOGINS)]
                with system.measure_cpu("login", LOGINS), ThreadPoolExecutor(4) as pool:
                    list(pool.map(Form.submit, forms, emails))


def measure_memory():
    """PSS of all processes: at start, after 50 logins, and its peak during 30 logins at once."""
    for system in SYSTEMS:
        with system.running():
            time.sleep(3)  # until the background worker has begun
            figures["start", system.name].append(system.memory())
            for _ in range(50):
                Form(system, "login").submit(next(emails))
            figures["50 logins", system.name].append(system.memory())
            forms, peak = [Form(system, "login") for _ in range(30)], 0.0
            with ThreadPoolExecutor(30) as pool:
                logins = [pool.submit(form.submit, next(emails), may_be_busy=True) for form in forms]
                while not all(login.done() for login in logins):
                    peak = max(peak, system.memory())
                    began = time.perf_counter()
                    Form(system, "login")
                    figures["login page in storm", system.name].append(milliseconds_since(began))
                    time.sleep(0.02)
            for login in logins:
                login.result()  # raises what failed
            figures["storm", system.name].append(peak)


def measure_forgot():
    """Passwort vergessen for known and unknown addresses in random order, while the mail server is slow."""
    for system in SYSTEMS:
        with system.running():
            form, pairs = Form(system, "forgot"), 100 if system is PORTAL and not QUICK else 6
            for figure, prefix in random.sample([("known", ""), ("unknown", "nobody-")] * pairs, 2 * pairs):
                began = time.perf_counter()
                form.submit(prefix + next(emails))
                figures[figure, system.name].append(milliseconds_since(began))
    likelihood = slower(figures["known", PORTAL.name], figures["unknown", PORTAL.name])
    figures["known slower than unknown", PORTAL.name] = [likelihood]


PARTS = {"pages": measure_pages, "memory": measure_memory, "forgot": measure_forgot}
PARTS["oracles"] = lambda: oracles.measure(folder, quick=QUICK)
PARTS["search"] = lambda: search.measure(folder, quick=QUICK)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the systems are stopped
with tempfile.TemporaryDirectory(prefix="kmz-bench-") as folder:
    mail_server = Controller(SlowMailServer(), hostname="127.0.0.1", port=free_port())
    settings = {"INSTANCE_PATH": folder, "PUBLIC_URL": f"http://{PORTAL.address}", "MAIL_SERVER": "127.0.0.1"}
    settings |= {"MAIL_PORT": f"{mail_server.port}", "RECOVERY_PER_SOURCE": "10000", "RECOVERY_IN_ALL": "100000"}
    os.environ.update({f"KMZPORTAL_{name}": value for name, value in settings.items()})
    mail_server.start()
    try:
        for system in SYSTEMS:
            system.create_database()
        for part in sys.argv[1:] or PARTS:
            PARTS[part]()
    finally:
        mail_server.stop()
print(page())
