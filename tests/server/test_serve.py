"""kmzportal serve, in real processes on this machine."""

import os
import pty
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest
from sqlalchemy import select

from kmzportal import create_app
from kmzportal.db import db
from kmzportal.models import OutgoingMail
from kmzportal.services import recovery
from kmzportal.services.transaction import transaction
from tests import people
from tests.mail_server import MailServer, listening
from tests.server.conftest import COMMAND, ROOT, Portal, until

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


def test_no_module_of_the_folder_where_the_operator_stands_is_imported(start, tmp_path, monkeypatch):
    monkeypatch.setattr(Portal, "stands_in", tmp_path)
    for name in ("json", "flask", "setproctitle", "gunicorn", "kmzportal"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    portal = start("serve", PUBLIC_URL=PUBLIC_URL)
    until(portal.answers)
    until(lambda: len(portal.members()) == ALL)
    assert not (tmp_path / "ran").exists()


def test_a_killed_worker_is_started_again_and_sighup_renews_all_processes(serving):
    (killed,) = serving.members("kmz-worker")
    os.kill(killed, signal.SIGKILL)
    until(lambda: serving.members("kmz-worker") - {killed})
    assert "neuer Start in 1 Sekunden" in serving.output
    before = serving.members()
    serving.process.send_signal(signal.SIGHUP)
    until(lambda: len(serving.members() - before) == 3)  # two of the web server, and the worker
    assert serving.answers() == 200


def test_it_is_ready_while_its_worker_writes(serving):
    def answers_after(beat_at):
        with closing(sqlite3.connect(serving.folder / "kmzportal.db", timeout=1)) as database, database:
            database.execute("UPDATE heartbeat SET beat_at = datetime('now', ?) || '.000000'", [beat_at])
        return serving.answers("/readyz")

    def stopped_without_lock():
        os.kill(worker, signal.SIGSTOP)
        try:
            return bool(answers_after("-1 seconds"))
        except sqlite3.OperationalError:  # stopped while it wrote
            os.kill(worker, signal.SIGCONT)
            return False

    until(lambda: serving.answers("/readyz") == 200)
    (worker,) = serving.members("kmz-worker")
    try:
        until(stopped_without_lock)
        assert [answers_after(beat_at) for beat_at in ("-50 seconds", "-70 seconds", "+1 day")] == [200, 503, 503]
    finally:
        os.kill(worker, signal.SIGCONT)
    assert serving.answers() == 200


def test_closing_its_terminal_ends_it(tmp_path):
    portal = Portal(tmp_path, "serve", PUBLIC_URL=PUBLIC_URL)
    controller, terminal = pty.openpty()
    portal.start(stdin=terminal)
    os.close(terminal)
    until(portal.answers)
    portal.process.send_signal(signal.SIGHUP)
    assert portal.process.wait(20) == 0
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


@pytest.fixture
def sink():
    return MailServer()


@pytest.fixture
def sending(start, sink):
    """A portal that sends to the sink."""
    with listening(sink) as port:
        portal = start("serve", PUBLIC_URL=PUBLIC_URL, MAIL_SERVER="127.0.0.1", MAIL_PORT=str(port))
        until(portal.answers)
        yield portal


def ask_for_a_link():
    with transaction("console") as tx:
        tx.session.add(people.person(people.ERIKA))
    with transaction("visitor") as tx:
        recovery.request_link(tx, people.ERIKA["email"])


def test_a_request_becomes_a_mail_within_two_seconds(sending, sink, same_database):
    ask_for_a_link()
    asked = time.monotonic()
    until(lambda: sink.messages)
    assert time.monotonic() - asked < 2
    assert sink.messages[0].to == [people.ERIKA["email"]]
    assert people.ERIKA["email"] not in sending.output


def test_after_all_processes_were_killed_the_mail_goes_out_right_after_the_start(sending, sink, same_database):
    sink.data_takes = 60
    ask_for_a_link()
    until(lambda: sink.messages)
    for pid in sending.members():
        os.kill(pid, signal.SIGKILL)
    sending.process.wait()
    sink.data_takes = 0
    sending.start()
    until(sending.answers)
    until(lambda: len(sink.messages) == 2, within=5)
    assert len({message.mail["Message-ID"] for message in sink.messages}) == 1, "receivers drop the second"


@pytest.mark.trial
def test_a_mail_that_takes_half_a_minute_is_finished_before_the_end(sending, sink, same_database):
    sink.data_takes = 30
    ask_for_a_link()
    until(lambda: sink.messages)
    assert sending.end(signal.SIGTERM) == 0
    with transaction("console") as tx:
        (mail,) = tx.session.scalars(select(OutgoingMail))
        assert (mail.state, mail.tries) == ("sent", 1)


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


def test_slow_clients_leave_connections_and_files_for_others():
    """Both numbers were once as large as the whole: then a process accepts nothing more, or ends for want of files."""
    names = "c.worker_connections, r.MAX_RECEIVING, r.MAX_SENDING, r.MAX_LINGERING"
    code = f"from kmzportal.server import gunicorn_conf as c, receiving as r; print({names})"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    connections, receiving, sending, lingering = map(int, printed.split())
    assert receiving + sending <= connections - 200
    assert connections + lingering <= 1024 - 100
