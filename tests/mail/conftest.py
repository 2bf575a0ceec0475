"""The portal with a mail server at hand, and mails that wait for it."""

import pytest
from sqlalchemy import select, update

from kmzportal.db import db
from kmzportal.mail.delivery import deliver_due, mail_server
from kmzportal.models.account_link import LinkKind
from kmzportal.models.outgoing_mail import OutgoingMail
from kmzportal.services import links
from tests.mail.post_office import Opened, PostOffice


@pytest.fixture
def office():
    """A mail server that takes everything, until a test tells it otherwise."""
    return PostOffice()


@pytest.fixture
def relay(app, monkeypatch):
    """Set the portal's mail settings for one test."""

    def set_(**settings):
        defaults = {"MAIL_SERVER": "127.0.0.1", "MAIL_TIMEOUT": 5, "MAIL_USE_TLS": False, "MAIL_USE_SSL": False}
        for name, value in {**defaults, **settings}.items():
            monkeypatch.setitem(app.config, name, value)
        mail_server.init_app(app)

    yield set_
    monkeypatch.undo()
    mail_server.init_app(app)


@pytest.fixture
def open_office(office, relay):
    """The mail server, open and known to the portal."""
    with Opened(office) as opened:
        relay(MAIL_PORT=opened.port)
        yield office


@pytest.fixture
def deliver(app):
    def _deliver():
        with app.app_context():
            return deliver_due()

    return _deliver


@pytest.fixture
def queue(backend):
    """Queue a notice to somebody."""
    return lambda person: backend.run(lambda tx, one: tx.send("password_changed", one), person).id


@pytest.fixture
def link(backend, erika):
    """The open desk link that waits in the outbox for Erika."""

    def deed(tx, person):
        sent = links.issue(tx, LinkKind.DESK, person, initials="ro")
        links.send(tx, sent)
        return sent

    return backend.run(deed, erika)


@pytest.fixture
def mails(backend):
    return lambda: backend.read(select(OutgoingMail).order_by(OutgoingMail.id))


@pytest.fixture
def change(app):
    """Change mails in the database behind the portal's back."""

    def _change(*which, **values):
        with app.app_context():
            db.session.execute(update(OutgoingMail).where(*which).values(**values))
            db.session.commit()

    return _change


def states(mails):
    return [(mail.state, mail.reply_code) for mail in mails()]
