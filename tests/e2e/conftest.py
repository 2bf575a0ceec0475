"""A real Chromium in front of a served portal, which has processes, a folder and a mail server of its own."""

import os
import shutil

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.e2e.actions import add_session
from tests.e2e.served_portal import ServedPortal
from tests.mail_server import MailServer, listening
from tests.states import session_token

CHROMIUM = os.environ.get("KMZPORTAL_TEST_CHROMIUM") or "chromium-headless-shell"  # the first that `make test` tries
OPTIONS = (
    *(
        "--no-sandbox",
        "--disable-gpu",
        "--in-process-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
    ),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),  # no requests of its own
)
STORED = "Object.entries(localStorage).concat(Object.entries(sessionStorage)).map(String)"


class Monitor:
    """Notes what no page of a browser context may do, in whatever test."""

    def __init__(self, context, site, other_site="-"):
        self.context = context
        self.origins = (f"{site}/", f"{other_site}/")
        self.faults = []
        self.posts = []  #: the path of every POST
        context.on("request", self._request)
        context.on("console", lambda message: self._fault("Content Security Policy" in message.text, message.text))
        context.on("weberror", lambda error: self._fault(True, f"{error.page and error.page.url}: {error.error}"))

    def _request(self, request):
        self._fault(not request.url.startswith(self.origins), f"requests another site: {request.url}")
        if request.method == "POST":
            self.posts.append(request.url.removeprefix(self.origins[0].rstrip("/")))

    def _fault(self, wrong, text):
        if wrong:
            self.faults.append(text)

    def check(self):
        """Fail for scripts that broke the CSP or raised, other sites, storage, and any but the portal's two cookies."""
        for page in self.context.pages:
            if page.url.startswith(self.origins):
                self._fault(stored := page.evaluate(STORED), f"stored in the browser: {stored}")
        assert not self.faults, self.faults
        for cookie in self.context.cookies():
            assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", "/"), cookie
            name = cookie["name"].removeprefix("__Host-" if cookie["secure"] else "")
            assert name in ("kmzportal", "kmzportal-device") and (cookie["expires"] == -1) == (name == "kmzportal")


@pytest.fixture(scope="session")
def playwright():
    expect.set_options(timeout=10_000)
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser_process(playwright):
    path = shutil.which(CHROMIUM)
    assert path, f"no browser {CHROMIUM}: run `make test`, or set KMZPORTAL_TEST_CHROMIUM to a path"
    chromium = playwright.chromium.launch(executable_path=path, args=OPTIONS)
    yield chromium
    chromium.close()


@pytest.fixture(scope="session")
def mail_server():
    server = MailServer()
    with listening(server) as server.port:
        yield server


@pytest.fixture
def mailbox(mail_server):
    mail_server.reset()
    return mail_server


@pytest.fixture(scope="session")
def mail_settings(mail_server):
    return {"MAIL_SERVER": "127.0.0.1", "MAIL_PORT": mail_server.port}


@pytest.fixture(scope="session")
def portal(tmp_path_factory, mail_settings):
    with ServedPortal(tmp_path_factory.mktemp("instance"), **mail_settings) as portal:
        yield portal


@pytest.fixture
def app(portal, mailbox):
    """An application on the served portal's database, for the fixtures that add people and read results."""
    with portal.database() as app:
        yield app


@pytest.fixture
def new_page(browser_process, portal, app):
    """Return a function that opens a page in a browser profile of its own; `page.monitor` is checked at the end."""
    monitors = []

    def new_page(other_site="-", **options):
        context = browser_process.new_context(base_url=portal.url, locale="de-DE", reduced_motion="reduce", **options)
        context.set_default_timeout(10_000)
        monitors.append(Monitor(context, portal.url, other_site))
        page = context.new_page()
        page.monitor = monitors[-1]
        return page

    yield new_page
    for monitor in monitors:
        monitor.check()
        monitor.context.close()


@pytest.fixture
def page(new_page):
    return new_page()


@pytest.fixture
def desk_page(new_page, app, backend, rosa):
    """Return a function that opens a page on which Rosa is logged in."""

    def desk_page(**options):
        page = new_page(**options)
        add_session(page, app, session_token(backend, rosa))
        return page

    return desk_page
