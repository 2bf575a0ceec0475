"""The worker: requests become links in one loop, mails are posted in another, old rows go in a third.

A thread for each, so that a mail server that hangs delays no link. What fails is logged and left alone for a while,
and the loop goes on. The text of an exception is not logged: it may hold a mail address.
"""

import logging
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from flask import Flask
from sqlalchemy.exc import DBAPIError, OperationalError

from kmzportal.db import db
from kmzportal.mail.delivery import deliver_due
from kmzportal.services import outbox, recovery, retention
from kmzportal.services.transaction import transaction

POLL_EVERY = 0.5  # seconds
BEAT_EVERY = 10.0
REST_AFTER_FAILURE = 60.0  # for one request
PURGE_EVERY = timedelta(hours=1)
ASK_WHETHER_TO_PURGE_EVERY = 60.0
STOP_WITHIN = 20.0
END = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}

log = logging.getLogger(__name__)


def work(app: Flask) -> int:
    """Run all loops until a signal comes, and finish what was begun."""
    signal.pthread_sigmask(signal.SIG_BLOCK, END)
    mails = Loop(app, outbox.MAILS_LOOP, deliver_due)
    requests = Loop(app, outbox.REQUESTS_LOOP, Requests(then=mails.wake.set).answer)
    loops = (mails, requests, Loop(app, outbox.PURGE_LOOP, purge_if_due, ASK_WHETHER_TO_PURGE_EVERY))
    threads = [threading.Thread(target=loop.run, name=loop.name, daemon=True) for loop in loops]
    for thread in threads:
        thread.start()
    signal.sigwait(END)
    for loop in loops:
        loop.end()
    for thread in threads:
        thread.join(STOP_WITHIN)
    return os.EX_OK


class Loop:
    """Does its work again and again, at once when woken, and says every few seconds that it did."""

    def __init__(self, app: Flask, name: str, do: Callable[[], object], every: float = POLL_EVERY):
        self.app = app
        self.name = name
        self.do = do
        self.every = every
        self.beat_at = 0.0
        self.wake = threading.Event()
        self.ending = False

    def run(self) -> None:
        while not self.ending:
            self.turn()
            self.wake.wait(self.every)
            self.wake.clear()

    def end(self) -> None:
        self.ending = True
        self.wake.set()

    def turn(self) -> None:
        try:
            with self.app.app_context():
                self.do()
                self._beat_if_due()
        except OperationalError as error:
            log.warning("%s: Die Datenbank antwortet nicht (%s).", self.name, reason(error))
        except Exception as error:
            report(self.name, error)

    def _beat_if_due(self) -> None:
        if self.name in outbox.MAIL_LOOPS and time.monotonic() >= self.beat_at:
            with transaction("worker") as tx:
                outbox.record_heartbeat(tx, self.name)
            self.beat_at = time.monotonic() + BEAT_EVERY


class Requests:
    """Answers those who forgot their password; `then` is called when a mail may be waiting."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.then = then
        self.resting: dict[int, float] = {}

    def answer(self) -> None:
        now = time.monotonic()
        self.resting = {request: until for request, until in self.resting.items() if until > now}
        for request in recovery.unanswered(db.session()):
            if request not in self.resting:
                self._answer(request)

    def _answer(self, request: int) -> None:
        try:
            with transaction("worker") as tx:
                recovery.answer(tx, request)
            self.then()
        except OperationalError:
            raise
        except Exception as error:
            report(f"Anfrage {request}", error)
            self.resting[request] = time.monotonic() + REST_AFTER_FAILURE


def purge_if_due() -> None:
    """Clear away old rows once an hour, whichever worker comes first."""
    if outbox.is_due(db.session(), outbox.PURGE_LOOP, PURGE_EVERY, datetime.now(UTC)):
        with transaction("worker") as tx:
            outbox.record_heartbeat(tx, outbox.PURGE_LOOP)
            retention.purge(tx)


def reason(error: DBAPIError) -> str:
    """Return the driver's own words; SQLAlchemy would add the values of the statement."""
    return str(error.orig).strip().partition("\n")[0]


def report(doing: str, error: Exception) -> None:
    log.error("%s: %s\n%s", doing, type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
