"""The portal with a mail server at hand."""

import pytest

from kmzportal.mail.delivery import mail_server
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
