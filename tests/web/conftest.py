"""Who stands where before a page is opened: Rosa at the desk, Erika with a link, and nobody at all."""

import pytest
from sqlalchemy import select

from kmzportal import create_app
from kmzportal.db import db
from kmzportal.models.account_link import LinkKind
from kmzportal.models.outgoing_mail import OutgoingMail
from kmzportal.services import links, outbox, sessions


@pytest.fixture
def ask(app):
    """Send a request as it comes, from nobody."""
    return lambda path, method="GET", **how: app.test_client().open(
        path, method=method, base_url=app.config["PUBLIC_URL"], **how
    )


@pytest.fixture
def desk(browser, backend, rosa):
    """Rosa at the desk."""
    return browser.come_in(backend.run(sessions.start_session, rosa, "Firefox unter Linux").token)


@pytest.fixture
def screen(desk, erika):
    """Rosa in front of Erika's screen."""
    return desk.open(f"/kundenservice/kunden/{erika.id}")


@pytest.fixture
def offered(app, monkeypatch):
    """A second factor is offered, and nobody needs one."""
    monkeypatch.setitem(app.config, "STAFF_SECOND_FACTOR", "offered")


@pytest.fixture
def mailed(backend):
    """Return the path of a link as it stands in the mail."""
    return lambda link: f"/link/{backend.keys.token(link)}"


@pytest.fixture
def link(backend, erika):
    """The desk's link for Erika."""
    link = backend.run(links.issue, LinkKind.DESK, erika, None, "ro", actor="clerk:1")
    backend.run(links.send, link)
    return link


@pytest.fixture
def landed(browser, backend, link):
    """The browser on the page where the link begins."""
    return browser.open(f"/link/{backend.keys.token(link)}")


@pytest.fixture
def queue(backend):
    """Mail somebody a link, and let the mail server answer."""

    def queue(person, answer=None, kind=LinkKind.DESK):
        link = backend.issue(kind, person)
        [mail] = backend.read(select(OutgoingMail).where(OutgoingMail.link_id == link.id))
        if answer:
            claimed = backend.run(outbox.claim, mail.id)
            backend.run(outbox.settle, mail.id, claimed.leased_until, answer)
        return mail

    return queue


@pytest.fixture
def house(tmp_path):
    """Build a portal with other settings, for this test only."""
    built = []

    def house(**settings):
        portal = create_app({"PUBLIC_URL": "https://konto.kmz.example", "TESTING": True, **settings}, tmp_path)
        with portal.app_context():
            db.create_all()
        built.append(portal)
        return portal

    yield house
    for portal in built:
        with portal.app_context():
            db.engine.dispose()
