"""Real Chromiums in front of a real portal: its own processes, its own folder, a real mail server behind it.

The people are those of all tests. Every computer is a browser profile of its own, and is watched (see watch.py).
"""

import os
import shutil

import pytest
from aiosmtpd.controller import Controller
from playwright.sync_api import expect, sync_playwright

from tests.e2e.mailbox import Mailbox
from tests.e2e.portals import Serving
from tests.e2e.watch import Watch
from tests.server.conftest import free_port

CHROMIUM = os.environ.get("KMZPORTAL_TEST_CHROMIUM") or "chromium-headless-shell"  # what `make test` takes first
OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),  # calls nobody
)


@pytest.fixture(scope="session")
def chromium():
    path = shutil.which(CHROMIUM)
    assert path, f"no browser {CHROMIUM}: run `make test`, or name one's path in KMZPORTAL_TEST_CHROMIUM"
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
def relay(mail_server):
    return {"MAIL_SERVER": mail_server.hostname, "MAIL_PORT": mail_server.port}


@pytest.fixture(scope="session")
def portal(tmp_path_factory, relay):
    with Serving(tmp_path_factory.mktemp("instance"), **relay) as portal:
        yield portal


@pytest.fixture
def app(portal, mailbox):
    """The portal's own database from outside; all fixtures that enter people use it."""
    with portal.database() as app:
        yield app


@pytest.fixture
def computer(chromium, portal, app):
    """Somebody sits down at a computer of their own and gets a page; `page.watch` has seen all that it did."""
    watches = []

    def sit_down(elsewhere="-", **options):
        context = chromium.new_context(base_url=portal.url, locale="de-DE", reduced_motion="reduce", **options)
        context.set_default_timeout(10_000)
        watches.append(Watch(context, portal.url, elsewhere))
        page = context.new_page()
        page.watch = watches[-1]
        return page

    yield sit_down
    for watch in watches:
        watch.check()
        watch.context.close()


@pytest.fixture
def page(computer):
    return computer()
