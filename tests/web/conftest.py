"""Fixtures of the page tests: a clerk at the desk, an opened link, mails in the outbox, portals with other settings."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from kmzportal import create_app
from kmzportal.db import db
from kmzportal.models import AccountLink, LinkKind, LoginSession, OutgoingMail
from kmzportal.services import outbox, sessions
from tests import people


@pytest.fixture
def ask(app):
    """Send a request without a session, as given."""
    return lambda path, method="GET", **how: app.test_client().open(
        path, method=method, base_url=app.config["PUBLIC_URL"], **how
    )


@pytest.fixture
def desk(browser, backend, rosa):
    """The browser of Rosa, who is logged in at the desk."""
    return browser.come_in(backend.run(sessions.start_session, rosa, "Firefox unter Linux").token)


@pytest.fixture
def prove(desk, backend):
    """Return a function after which Rosa has just entered her second factor."""

    def prove():
        for login_session in backend.read(select(LoginSession)):
            backend.update(login_session, password_checked_at=datetime.now(UTC))

    return prove


@pytest.fixture
def screen(desk, erika):
    """The page of Erika at the desk."""
    return desk.open(f"/kundenservice/kunden/{erika.id}")


@pytest.fixture
def offered(app, monkeypatch):
    """The second factor of clerks is optional."""
    monkeypatch.setitem(app.config, "STAFF_SECOND_FACTOR", "offered")


@pytest.fixture
def mailed(backend):
    """Return a function that returns the path of a link in its mail."""
    return lambda link: f"/link/{backend.keys.token(link)}"


@pytest.fixture
def link(erika, issue):
    """The desk's link for Erika."""
    return issue(LinkKind.DESK, erika)


@pytest.fixture
def newest_link(backend):
    """Return a function that returns the link issued last, of one kind or of all."""
    return lambda **which: backend.read(
        select(AccountLink).filter_by(**which).order_by(AccountLink.issued_at, AccountLink.id)
    )[-1]


@pytest.fixture
def enter_code(backend, mailed):
    """Return a function that opens a link and passes the robot check with the code, up to the form."""

    def enter_code(browser, link):
        browser.open(mailed(link)).follow("Code aus der E-Mail eingeben")
        browser.submit("Bestätigen", {"Code aus der E-Mail": backend.keys.code(link)})
        return browser.follow("Konto bearbeiten")

    return enter_code


@pytest.fixture
def adjust():
    """Return a function that logs in, opens Konto anpassen and enters the current password."""

    def adjust(browser, person):
        browser.log_in(person).follow("Konto anpassen")
        return browser.submit("Weiter", {"Aktuelles Passwort": people.password_of(person)})

    return adjust


@pytest.fixture
def landed(browser, link, mailed):
    """The browser on the first page of the link."""
    return browser.open(mailed(link))


@pytest.fixture
def queue(backend):
    """Queue a mail with a link and record the answer of the mail server."""

    def queue(person, answer=None, kind=LinkKind.DESK):
        link = backend.issue(kind, person)
        [mail] = backend.read(select(OutgoingMail).where(OutgoingMail.link_id == link.id))
        if answer:
            claimed = backend.run(outbox.claim, mail.id)
            backend.run(outbox.settle, mail.id, claimed.tries, answer)
        return mail

    return queue


@pytest.fixture
def build_portal(tmp_path):
    """Build a portal with other settings, for this test only."""
    built = []

    def build_portal(**settings):
        portal = create_app({"PUBLIC_URL": "https://konto.kmz.example", "TESTING": True, **settings}, tmp_path)
        with portal.app_context():
            db.create_all()
        built.append(portal)
        return portal

    yield build_portal
    for portal in built:
        with portal.app_context():
            db.engine.dispose()
