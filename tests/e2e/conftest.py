"""Real Chromiums in front of a real portal: its own processes, its own folder, a real mail server behind it.

The people are those of all tests. Every computer has its own browser profile and is watched (see watch.py).
"""

import os
import shutil
import signal
import subprocess
from contextlib import suppress

import pytest
from aiosmtpd.controller import Controller
from playwright.sync_api import expect, sync_playwright
from sqlalchemy import func, select

from kmzportal import create_app
from kmzportal.db import db
from kmzportal.domain.heartbeat import Heartbeat
from kmzportal.domain.outgoing_mail import MailState, OutgoingMail
from kmzportal.domain.recovery_request import RecoveryRequest
from tests import canary
from tests.e2e.mailbox import Mailbox
from tests.e2e.watch import Watch
from tests.server.conftest import COMMAND, ROOT, Portal, free_port, until

CHROMIUM = os.environ.get("KMZPORTAL_TEST_CHROMIUM") or "chromium"
OPTIONS = """--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --disable-dev-shm-usage""".split()


@pytest.fixture(scope="session")
def chromium():
    path = shutil.which(CHROMIUM)
    assert path, f"Kein Browser unter {CHROMIUM}: `make test` holt einen, oder KMZPORTAL_TEST_CHROMIUM nennt seinen Pfad."
    expect.set_options(timeout=10_000)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def mail_server():
    controller = Controller(Mailbox(), hostname="127.0.0.1", port=free_port())
    controller.start()
    yield controller
    controller.stop()


@pytest.fixture
def mailbox(mail_server):
    mail_server.handler.empty()
    return mail_server.handler


@pytest.fixture(scope="session")
def start(tmp_path_factory, mail_server):
    """Start a portal in earnest; whatever is left of it at the end is ended by id."""
    portals = []

    def start(public_url="http://127.0.0.1:{port}", **settings):
        portal = Portal(tmp_path_factory.mktemp("instance"), "serve")
        portal.url = public_url.format(port=portal.port)
        settings |= {"PUBLIC_URL": portal.url, "MAIL_SERVER": mail_server.hostname, "MAIL_PORT": mail_server.port}
        lines = (f"{name} = {value!r}\n" for name, value in settings.items())
        (portal.folder / "config.toml").write_text("".join(lines))
        portals.append(portal.start())
        until(portal.answers)
        return portal

    yield start
    ended = [portal.end() for portal in portals]
    for pid in {pid for portal in portals for pid in portal.members()}:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert not any(ended), ended


@pytest.fixture(scope="session")
def portal(start):
    return start()
