"""serve, in real processes on this machine."""

import os
import signal
from pathlib import Path

import pytest

from tests.server.conftest import until

ALL = 5  # the parent, the web server with its two processes, the worker
PUBLIC_URL = "https://konto.kmz.example"


@pytest.fixture
def serving(start):
    portal = start("serve", PUBLIC_URL=PUBLIC_URL)
    until(portal.answers)
    until(lambda: len(portal.members()) == ALL)
    return portal


def test_it_answers_and_says_where(serving):
    assert serving.answers() == 200
    assert "kmzportal läuft unter https://konto.kmz.example" in serving.output
    assert "E-Mails warten im Postausgang" in serving.output


def test_sigterm_ends_all_of_it(serving):
    assert serving.end() == 0
    assert not serving.members()


def test_a_killed_worker_is_started_again(serving):
    (killed,) = serving.members("kmz-worker")
    os.kill(killed, signal.SIGKILL)
    until(lambda: serving.members("kmz-worker") - {killed})
    assert "neuer Start in 1 Sekunden" in serving.output
    assert serving.answers() == 200


def test_it_ends_with_its_web_server(serving):
    parent = serving.process.pid
    (master,) = (pid for pid in serving.members("kmz-web") if parent_of(pid) == parent)
    os.kill(master, signal.SIGKILL)
    assert serving.process.wait(60) == 128 + signal.SIGKILL
    until(lambda: not serving.members())


def test_sighup_renews_the_processes_and_ends_none_for_good(serving):
    before = serving.members()
    serving.process.send_signal(signal.SIGHUP)
    until(lambda: len(serving.members() - before) == 3)  # two of the web server, and the worker
    assert serving.answers() == 200


def test_killing_the_parent_leaves_no_process_behind(serving):
    serving.end(signal.SIGKILL)
    until(lambda: not serving.members())


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_killing_it_while_it_starts_leaves_no_process_behind(start, signum):
    portal = start("serve", PUBLIC_URL=PUBLIC_URL)
    until(lambda: portal.members("kmz-"))
    portal.end(signum)
    until(lambda: not portal.members())


def test_two_that_start_at_once_migrate_one_after_the_other(start):
    portals = [start("serve", "--no-worker", PUBLIC_URL=PUBLIC_URL) for _ in range(2)]
    assert [until(portal.answers) for portal in portals] == [200, 200]


def test_without_a_worker_there_is_none(start):
    portal = start("serve", "--no-worker", PUBLIC_URL=PUBLIC_URL)
    until(portal.answers)
    assert not portal.members("kmz-worker")


@pytest.mark.parametrize(("settings", "sentence"), [
    ({}, "PUBLIC_URL fehlt."),
    ({"PUBLIC_URL": "http://konto.kmz.example"}, "dürfen nur über https laufen."),
    ({"PUBLIC_URL": PUBLIC_URL, "SECRET_KEY": "kurz"}, "SECRET_KEY ist kürzer als 32 Zeichen."),
    ({"PUBLIC_URL": PUBLIC_URL, "MAIL_PORT": "fünf"}, "MAIL_PORT: „fünf“ ist keine ganze Zahl"),
])  # fmt: skip
def test_it_refuses_what_cannot_be_right_in_german(start, settings, sentence):
    portal = start("serve", **settings)
    assert portal.process.wait(60) == 2
    assert sentence in portal.output
    assert "Traceback" not in portal.output


def test_a_port_that_is_taken_is_said_at_once(start, serving, monkeypatch):
    monkeypatch.setattr("tests.server.conftest.free_port", lambda: serving.port)
    (serving.folder / f"output-{serving.port}").rename(serving.folder / "first")
    second = start("serve", PUBLIC_URL=PUBLIC_URL)
    assert second.process.wait(60) == 69
    assert f"Port {serving.port}, ist nicht frei" in second.output


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
