"""kmzportal serve, in real processes on this machine."""

import os
import pty
import signal
import sqlite3
import subprocess
import time
from contextlib import closing

import pytest
from aiosmtpd.controller import Controller

from kmzportal import create_app
from kmzportal.db import db
from kmzportal.services import recovery
from kmzportal.services.transaction import transaction
from tests import people
from tests.server.conftest import COMMAND, ROOT, Portal, free_port, until

ALL = 4  # gunicorn, its two web workers and the background worker
PUBLIC_URL = "https://konto.kmz.example"


@pytest.fixture
def serving(start):
    portal = start("serve", PUBLIC_URL=PUBLIC_URL)
    until(portal.answers)
    until(lambda: len(portal.members()) == ALL)
    return portal


def test_it_says_where_it_answers_and_a_second_one_on_its_port_is_refused(start, serving, monkeypatch):
    assert serving.answers() == 200
    assert "kmzportal läuft unter https://konto.kmz.example" in serving.output
    assert "E-Mails warten im Postausgang" in serving.output
    (serving.folder / f"output-{serving.port}").rename(serving.folder / "first")
    monkeypatch.setattr("tests.server.conftest.free_port", lambda: serving.port)
    second = start("serve", PUBLIC_URL=PUBLIC_URL)
    assert second.process.wait(60) == 69
    assert f"Port {serving.port}, ist nicht frei" in second.output


def test_a_killed_worker_is_started_again_and_sighup_renews_all_processes(serving):
    (killed,) = serving.members("kmz-worker")
    os.kill(killed, signal.SIGKILL)
    until(lambda: serving.members("kmz-worker") - {killed})
    assert "neuer Start in 1 Sekunden" in serving.output
    before = serving.members()
    serving.process.send_signal(signal.SIGHUP)
    until(lambda: len(serving.members() - before) == 3)  # two of the web server, and the worker
    assert serving.answers() == 200


def test_closing_its_terminal_ends_it(tmp_path):
    portal = Portal(tmp_path, "serve", PUBLIC_URL=PUBLIC_URL)
    controller, terminal = pty.openpty()
    portal.start(stdin=terminal)
    os.close(terminal)
    until(portal.answers)
    portal.process.send_signal(signal.SIGHUP)
    assert portal.process.wait(60) == 0
    os.close(controller)
    assert not portal.members()


@pytest.mark.parametrize(("signum", "name"), [
    pytest.param(signal.SIGTERM, "", id="while it starts"),
    pytest.param(signal.SIGKILL, "", id="killed while it starts"),
    pytest.param(signal.SIGKILL, "kmz-worker", id="killed when it runs"),  # ServedPortal ends by SIGTERM when it runs
])  # fmt: skip
def test_no_process_outlives_gunicorn(start, signum, name):
    portal = start("serve", PUBLIC_URL=PUBLIC_URL)
    until(lambda: portal.members(name))
    portal.end(signum)
    until(lambda: not portal.members())


@pytest.mark.trial
def test_two_without_worker_that_start_at_once_migrate_one_after_the_other(start):
    portals = [start("serve", "--no-worker", PUBLIC_URL=PUBLIC_URL) for _ in range(2)]
    assert [until(portal.answers) for portal in portals] == [200, 200]
    assert not portals[0].members("kmz-worker")


def test_it_refuses_what_cannot_be_right_in_german(start):
    portal = start("serve", PUBLIC_URL="http://konto.kmz.example", SECRET_KEY="kurz")
    assert portal.process.wait(60) == 2
    assert "dürfen nur über https laufen." in portal.output
    assert "SECRET_KEY ist kürzer als 32 Zeichen." in portal.output
    assert "Traceback" not in portal.output


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


def test_after_the_stop_all_is_in_one_file_and_while_it_runs_nothing_is_restored(serving, same_database, tmp_path):
    with transaction("console") as tx:
        tx.session.add(people.person(people.ERIKA))
    db.session.remove()
    db.engine.dispose()
    backup = subprocess.run([*COMMAND, "backup", tmp_path / "b.tar.gz"], env=serving.environment, cwd=ROOT, check=True)
    restore = [*COMMAND, "restore", tmp_path / "b.tar.gz", "--yes"]
    refused = subprocess.run(restore, env=serving.environment, cwd=ROOT, check=False, capture_output=True, text=True)
    assert (backup.returncode, refused.returncode) == (0, 1)
    assert "Das Portal läuft noch" in refused.stderr
    assert serving.end() == 0
    (copied := tmp_path / "copy.db").write_bytes((serving.folder / "kmzportal.db").read_bytes())
    with closing(sqlite3.connect(copied)) as copy:
        assert copy.execute("SELECT email FROM customer").fetchall() == [(people.ERIKA["email"],)]
    assert not list(serving.folder.glob("kmzportal.db-*"))
    subprocess.run(restore, env=serving.environment, cwd=ROOT, check=True)


def test_a_host_with_another_key_does_not_start(start, serving, tmp_path):
    serving.end()
    (tmp_path / "factor_key").write_text("the key of another host, of many characters")
    other = start("serve", PUBLIC_URL=PUBLIC_URL)
    assert other.process.wait(60) == 1
    assert "mit anderen Schlüsseln benutzt (FACTOR_KEY)" in other.output
    assert "Traceback" not in other.output
