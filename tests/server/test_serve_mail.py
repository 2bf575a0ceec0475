"""serve, from the request of a stranger to the mail that leaves."""

import time

import pytest
from aiosmtpd.controller import Controller

from kmzportal import create_app
from kmzportal.db import db
from kmzportal.services import recovery
from kmzportal.services.transaction import transaction
from tests import people
from tests.server.conftest import free_port, until

PUBLIC_URL = "https://konto.kmz.example"


@pytest.fixture
def same_database(tmp_path):
    """The portal's own database, from the outside."""
    app = create_app({"PUBLIC_URL": PUBLIC_URL}, tmp_path)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


class Letters:
    """A mail server that keeps what it is given."""

    def __init__(self):
        self.came = []

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802  the name is aiosmtpd's
        self.came.append(envelope)
        return "250 OK"


@pytest.fixture
def mail_server():
    controller = Controller(Letters(), hostname="127.0.0.1", port=free_port())
    controller.start()
    yield controller
    controller.stop()


def test_a_request_becomes_a_mail_within_two_seconds(start, mail_server, same_database):
    portal = start("serve", PUBLIC_URL=PUBLIC_URL, MAIL_SERVER="127.0.0.1", MAIL_PORT=str(mail_server.port))
    until(portal.answers)
    with transaction("console") as tx:
        tx.session.add(people.person(people.ERIKA))
    with transaction("visitor") as tx:
        recovery.request_link(tx, people.ERIKA["email"])
    asked = time.monotonic()
    until(lambda: mail_server.handler.came)
    assert time.monotonic() - asked < 2
    assert mail_server.handler.came[0].rcpt_tos == [people.ERIKA["email"]]
    assert people.ERIKA["email"] not in portal.output
