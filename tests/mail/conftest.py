"""A mail server, the settings that lead to it, and mails in the outbox."""

from functools import partial

import pytest

from kmzportal.mail import delivery, inbox
from kmzportal.models import LinkKind
from tests import imap_server
from tests.mail_server import MailServer, listening


@pytest.fixture
def configure(app, monkeypatch):
    """Set the portal's mail settings for one test."""

    def configure(**settings):
        defaults = {"MAIL_SERVER": "127.0.0.1", "MAIL_TIMEOUT": 5, "MAIL_USE_TLS": False, "MAIL_USE_SSL": False}
        for name, value in {**defaults, **settings}.items():
            monkeypatch.setitem(app.config, name, value)
        delivery.mail_server.init_app(app)

    yield configure
    monkeypatch.undo()
    delivery.mail_server.init_app(app)


@pytest.fixture
def server(configure):
    """A running mail server that the portal is configured for."""
    server = MailServer()
    with listening(server) as port:
        configure(MAIL_PORT=port)
        yield server


@pytest.fixture
def certificate(tmp_path):
    """Return a function that makes a certificate for a host: (path of its authority, the server's TLS context)."""
    return partial(imap_server.certificate, tmp_path)


@pytest.fixture
def deliver(app):
    """Deliver what is due; return the number of mails sent."""

    def deliver():
        with app.app_context():
            return delivery.deliver_due()

    return deliver


@pytest.fixture
def queue(backend):
    """Queue a notice to a person; return the mail."""
    return lambda person: backend.run(lambda tx, one: tx.send("password_changed", one), person)


@pytest.fixture
def link(backend, erika):
    """A desk link to Erika that is in the outbox."""
    return backend.issue(LinkKind.DESK, erika)


@pytest.fixture
def states(backend):
    return lambda: [(mail.state, mail.reply_code) for mail in backend.mails()]


@pytest.fixture
def imap(app, certificate, monkeypatch):
    """A running IMAP server whose mailbox the portal is configured for."""
    with imap_server.listening(certificate()) as server:
        for name, value in imap_server.settings(server).items():
            monkeypatch.setitem(app.config, name, value)
        yield server


@pytest.fixture
def fetch(app, imap):
    """Read the mailbox once; return how many mails had which effect."""

    def fetch():
        with app.app_context():
            return dict(inbox.fetch())

    return fetch
