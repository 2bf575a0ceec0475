"""The background worker: threads that answer recovery requests, send mails, read the mailbox and delete old rows.

Separate threads, so that a slow mail server does not delay requests. A loop logs an exception and continues; a failed
request is retried after a pause. The message of an exception is not logged: it may contain a mail address.
"""

import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flask import Flask, current_app
from sqlalchemy.exc import OperationalError

from kmzportal import doctor
from kmzportal.db import db
from kmzportal.logs import log_database_error, log_traceback
from kmzportal.mail import inbox
from kmzportal.mail.delivery import Deliveries
from kmzportal.services import audit_chain, clock, diagnosis, guesses, outbox, recovery, retention, support
from kmzportal.services.alarms import report_broken_chain
from kmzportal.services.transaction import transaction

POLL_EVERY = 0.5  # seconds
BEAT_EVERY = 10.0
PAUSE_AFTER_FAILURE = 60.0  # for one request
PURGE_EVERY = timedelta(hours=1)
ASK_WHETHER_TO_PURGE_EVERY = 60.0
CHAIN_EVERY = 2.0
ASK_WHETHER_TO_FETCH_EVERY = 1.0
ASK_WHETHER_TO_CHECK_EVERY = 2.0
LONGEST_PAUSE = 10.0  # seconds, between turns that fail
STOP_WITHIN = 75.0  # for a mail that is being sent; systemd ends a service after 90 seconds
END = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}

log = logging.getLogger(__name__)


def work(app: Flask) -> None:
    """Run all loops until a signal arrives, then finish the running work."""
    signal.pthread_sigmask(signal.SIG_BLOCK, END)
    with run_loops(app):
        signal.sigwait(END)


@contextmanager
def run_loops(app: Flask) -> Iterator[None]:
    """Run each loop in a thread; at the end wait at most STOP_WITHIN seconds for all to finish their turn."""
    # Three connections to the mail server, as some providers accept no more: the check uses that of strangers, whose
    # mails tell nothing of customers. Behind a mail to a customer, that of a
    # stranger would arrive later, and tell that there is such a customer.
    to_customers, to_strangers = Deliveries(to_strangers=False, at_once=2), Deliveries(to_strangers=True, at_once=1)
    mails = Loop(app, outbox.MAILS_LOOP, to_customers.start_due)
    receipts = Loop(app, "receipts", to_strangers.start_due)
    requests = Loop(app, outbox.REQUESTS_LOOP, Requests(then=mails.wake.set).answer)
    loops = [mails, receipts, requests, Loop(app, outbox.PURGE_LOOP, purge_if_due, ASK_WHETHER_TO_PURGE_EVERY)]
    loops.append(Loop(app, "audit", chain_events, CHAIN_EVERY))
    if app.config["IMAP_SERVER"]:
        loops.append(Loop(app, outbox.INBOX_LOOP, inbox.fetch_if_due, ASK_WHETHER_TO_FETCH_EVERY))
    checks = [
        Loop(app, outbox.SERVER_LOOP, to_strangers.check_server_if_due, ASK_WHETHER_TO_CHECK_EVERY),
        Loop(app, "diagnosis", Checks().check_if_due, ASK_WHETHER_TO_CHECK_EVERY),
    ]
    threads = [threading.Thread(target=loop.run, name=loop.name, daemon=True) for loop in (*loops, *checks)]
    for thread in threads:
        thread.start()
    yield
    for loop in (*loops, *checks):
        loop.end()
    deadline = time.monotonic() + STOP_WITHIN
    for thread in threads[: len(loops)]:  # not for the checks, which may wait for a server that does not answer
        thread.join(max(0.0, deadline - time.monotonic()))
    for deliveries in (to_customers, to_strangers):
        deliveries.end(deadline)


@dataclass
class Loop:
    """Calls `do` every `every` seconds, or at once when `wake` is set, and records a heartbeat."""

    app: Flask
    name: str
    do: Callable[[], object]
    every: float = POLL_EVERY
    beat_at: float = 0.0
    wake: threading.Event = field(default_factory=threading.Event)
    ending: bool = False
    failures: int = 0  # turns that failed one after another

    def run(self) -> None:
        while not self.ending:
            self.turn()
            self.wake.wait(self.pause)
            self.wake.clear()

    @property
    def pause(self) -> float:
        """Seconds until the next turn; they double with each turn that fails."""
        return max(self.every, min(POLL_EVERY * 2**self.failures, LONGEST_PAUSE)) if self.failures else self.every

    def end(self) -> None:
        self.ending = True
        self.wake.set()

    def turn(self) -> None:
        failures, self.failures = self.failures, min(self.failures + 1, 10)
        try:
            with self.app.app_context():
                self.do()
                self._beat_if_due()
        except OperationalError as error:
            self.failures = min(failures + 1, 10)
            log_database_error(self.name, error)
        except Exception as error:
            self.failures = min(failures + 1, 10)
            log_traceback(self.name, error)
        else:
            if failures:
                log.warning("%s läuft wieder.", self.name)
            self.failures = 0

    def _beat_if_due(self) -> None:
        if self.name in outbox.MAIL_LOOPS and time.monotonic() >= self.beat_at:
            with transaction("worker") as tx:
                outbox.record_heartbeat(tx, self.name)
                if self.name == outbox.MAILS_LOOP:
                    outbox.release_dead_leases(tx)
            self.beat_at = time.monotonic() + BEAT_EVERY


@dataclass
class Requests:
    """Answers recovery requests and calls `then` after each, as a mail may be due."""

    then: Callable[[], object] = lambda: None
    paused: dict[int, float] = field(default_factory=dict)

    def answer(self) -> None:
        now = time.monotonic()
        self.paused = {request: until for request, until in self.paused.items() if until > now}
        full = True
        while full:
            batch = [request for request in recovery.unanswered(db.session()) if request not in self.paused]
            full = len(batch) == recovery.BATCH
            if batch:
                with transaction("worker") as tx:
                    known = recovery.answer_unknown(tx, batch)
                for request in known:
                    self._answer(request)

    def _answer(self, request: int) -> None:
        try:
            with transaction("worker") as tx:
                recovery.answer(tx, request)
            self.then()
        except OperationalError:
            raise
        except Exception as error:
            log_traceback(f"Anfrage {request}", error)
            self.paused[request] = time.monotonic() + PAUSE_AFTER_FAILURE


def purge_if_due() -> None:
    """Purge once an hour, in only one of several worker processes; not while the clock seems wrong, which is logged."""
    now = datetime.now(UTC)
    if fault := clock.fault(db.session(), now):
        with transaction("worker") as tx:
            changed = clock.record_fault(tx, fault)
        if changed:
            log.error("%s.", fault)
    elif outbox.is_due(db.session(), outbox.PURGE_LOOP, PURGE_EVERY, now):
        purge()
        verify_audit()


def chain_events() -> None:
    """Chain the events that are not, in short transactions, as a large import leaves many."""
    while audit_chain.has_unchained(db.session()):
        with transaction("worker") as tx:
            if audit_chain.chain(tx.session, tx.settings) < audit_chain.BATCH:
                break


def verify_audit() -> None:
    """Verify the end of the audit trail; log where it ends, for a later `audit verify --known`."""
    verdict = audit_chain.verify(db.session(), current_app.config, audit_chain.RECENT)
    log.info("Protokoll: Die Kette endet bei %s.", verdict.end)
    if verdict.fault:
        with transaction("worker") as tx:
            report_broken_chain(tx, verdict.fault)


def purge() -> int:
    """Delete old rows and open unanswered cases again; return how many rows were deleted or changed."""
    with transaction("worker") as tx:
        clock.record_purge(tx)
        guesses.close_counters(tx)
        support.reopen_unused(tx)
        return retention.purge(tx)


@dataclass
class Checks:
    """Runs the doctor once an hour and when an admin wants it, and stores the results under the name of this host."""

    host: str = field(default_factory=socket.gethostname)
    registered: bool = False

    def check_if_due(self) -> None:
        if not self.registered:
            with transaction("worker") as tx:
                diagnosis.register_host(tx, self.host)
            self.registered = True
        if diagnosis.is_due(db.session(), self.host, datetime.now(UTC)):
            db.session.commit()  # no connection is held meanwhile
            app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
            results = doctor.examine(Path(app.instance_path), app)
            with transaction("worker") as tx:
                diagnosis.store(tx, self.host, results)
