"""The parent: hands signals on, starts a dead worker again, and ends as the web server ends."""

import logging
import os
import signal
import time

from kmzportal.server import process
from kmzportal.server.process import WATCHED, Run

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds before a dead worker is started again
LOOK_EVERY = 1.0
STOP_WITHIN = 30.0

log = logging.getLogger(__name__)


class Kept:
    """A process that is started again when it ends, each time after a longer pause."""

    def __init__(self, run: Run):
        self.run = run
        self.pid: int | None = None
        self.pause = FIRST_PAUSE
        self.start_at = time.monotonic()

    def keep(self) -> None:
        """Notice its end, and start it when it is time."""
        now = time.monotonic()
        if self.pid and self._ended():
            self.pause = FIRST_PAUSE if now - self.start_at > LONGEST_PAUSE else self.pause
            log.error("Der Arbeitsprozess wurde beendet; neuer Start in %.0f Sekunden.", self.pause)
            self.start_at = now + self.pause
            self.pause = min(self.pause * 2, LONGEST_PAUSE)
        elif not self.pid and now >= self.start_at:
            self.pid = process.start("kmz-worker", self.run)

    def tell(self, signum: int) -> None:
        if self.pid and not self._ended():
            os.kill(self.pid, signum)

    def stop(self) -> None:
        """End it, gently at first, and wait until it is gone."""
        self.tell(signal.SIGTERM)
        kill_at = time.monotonic() + STOP_WITHIN
        while self.pid and not self._ended():
            signal.sigtimedwait({signal.SIGCHLD}, LOOK_EVERY)
            if time.monotonic() > kill_at:
                self.tell(signal.SIGKILL)

    def _ended(self) -> bool:
        if self.pid and process.status_of(self.pid) is not None:
            self.pid = None
        return self.pid is None


def supervise(web: Run, worker: Run | None) -> int:
    """Run both until the web server ends, and return its status."""
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    at_a_terminal = os.isatty(0)
    kept = Kept(worker) if worker else None
    server = process.start("kmz-web", web)
    stopping = False
    while (status := process.status_of(server)) is None:
        if kept and not stopping:
            kept.keep()
        signum = _next_signal()
        if signum == signal.SIGHUP and at_a_terminal:
            signum = signal.SIGTERM  # the window was closed; without one it means: renew your processes
        if signum:
            stopping = stopping or signum != signal.SIGHUP
            _pass_on(signum, server, kept)
    if kept:
        kept.stop()
    return status


def _next_signal() -> int | None:
    came = signal.sigtimedwait(WATCHED, LOOK_EVERY)
    return came.si_signo if came and came.si_signo != signal.SIGCHLD else None


def _pass_on(signum: int, server: int, kept: Kept | None) -> None:
    os.kill(server, signum)  # not yet waited for, so the id is still its own
    if kept:
        kept.tell(signum)
