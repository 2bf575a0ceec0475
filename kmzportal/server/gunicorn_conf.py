"""gunicorn's settings for this portal (https://docs.gunicorn.org/en/stable/settings.html).

gunicorn supervises three processes: two serve pages, the third is the background worker (worker.py). It restarts each
one that ends and forwards SIGTERM and SIGHUP; each ends by itself when gunicorn has ended.
"""

import gc
import logging
import os
import signal
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.glogging import Logger
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import configure_mappers

from kmzportal import logs
from kmzportal.db import close, up_to_date
from kmzportal.server.receiving import ReceivingWorker
from kmzportal.server.worker import run_loops

gc.disable()  # until share_memory, as https://docs.python.org/3/library/gc.html#gc.freeze advises: pages stay shared
WITH_BACKGROUND_WORKER = os.environ.get("KMZ_BACKGROUND_WORKER") == "1"
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds before a background worker that ended starts again
LOOK_EVERY = 0.2  # seconds
STOPS = {signal.SIGTERM, signal.SIGQUIT}

log = logging.getLogger(__name__)

logs.configure(os.environ.get("KMZ_LOG_FORMAT", "text"))


class PortalLogger(Logger):  # type: ignore[misc]
    """Gives gunicorn's messages to the handler of all others."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


workers = 2 + WITH_BACKGROUND_WORKER
worker_class = "kmzportal.server.gunicorn_conf.PortalWorker"
# 20 may wait for a hash, 4 for a picture, 4 because of their source, 4 send videos; the others send pages, of one
# person 6, and 12 more may wait.
threads = 80
# With 200 that linger below the 1,024 files that systemd allows a process. See receiving.py: 400 wait for slow clients.
worker_connections = 700
preload_app = True  # imported once, memory shared by all processes
graceful_timeout = 80  # seconds to finish running requests and mails; more than worker.STOP_WITHIN, less than systemd's
control_socket_disable = True
forwarded_allow_ips = ""  # PROXY_HOPS alone decides which proxies are trusted
accesslog = None  # paths contain tokens
logger_class = PortalLogger
loglevel = "warning"
proc_name = "kmzportal"


class PortalWorker(ReceivingWorker):
    """A process that serves pages, or the background worker if pre_fork has set `pause`."""

    pause: float | None = None  # seconds before the background loops begin

    def init_signals(self) -> None:
        super().init_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)  # see when_ready

    def run(self) -> None:
        if self.pause is None:
            super().run()
        else:
            self._run_in_background(self.pause)

    def _run_in_background(self, pause: float) -> None:
        Path("/proc/self/comm").write_text("kmz-worker")  # as `ps -e` shows it
        for listener in self.sockets:
            listener.close()
        for signum in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
            signal.signal(signum, self.handle_exit)  # finish the running mail, as after SIGTERM
        self._wait(time.monotonic() + pause)
        if self.alive:
            with run_loops(self.wsgi):
                self._wait(float("inf"))

    def _wait(self, until: float) -> None:
        """Wait until a time, or until gunicorn stops this process or has ended itself."""
        while self.alive and os.getppid() == self.ppid and time.monotonic() < until:
            self.notify()
            time.sleep(LOOK_EVERY)


class Background:
    """The current background worker, and the pause in seconds before the next one."""

    worker: PortalWorker | None = None
    started = 0.0
    pause = 0.0


def when_ready(server: Any) -> None:
    if os.isatty(0):  # the terminal was closed; without a terminal SIGHUP means reload
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    for signum in (signal.SIGTTIN, signal.SIGTTOU):
        signal.signal(signum, signal.SIG_IGN)  # gunicorn would end the oldest process, maybe the background worker
    # A new process has gunicorn's handlers until init_signals. One that is stopped before would queue the signal there,
    # and go on for all of graceful_timeout.
    hold, release = (partial(signal.pthread_sigmask, how, STOPS) for how in (signal.SIG_BLOCK, signal.SIG_UNBLOCK))
    os.register_at_fork(before=hold, after_in_parent=release)
    share_memory(server.app.wsgi())
    url = server.app.wsgi().config["PUBLIC_URL"]
    log.info("kmzportal läuft unter %s (%s).", url, server.cfg.bind[0])


def share_memory(app: Flask) -> None:
    """Load templates and mappers before the fork, so that the processes share their memory."""
    for name in app.jinja_env.list_templates(extensions=["html"]):
        app.jinja_env.get_template(name)
    configure_mappers()
    gc.freeze()
    gc.enable()


def pre_fork(server: Any, worker: PortalWorker) -> None:
    """Make this process the background worker if there is none."""
    if not WITH_BACKGROUND_WORKER or Background.worker:
        return
    if Background.pause:
        server.log.error("Der Arbeitsprozess wurde beendet; neuer Start in %.0f Sekunden.", Background.pause)
    worker.pause = Background.pause
    Background.worker, Background.started = worker, time.monotonic() + worker.pause


def child_exit(_server: Any, worker: PortalWorker) -> None:
    if worker is Background.worker:
        ran_long = time.monotonic() - Background.started > LONGEST_PAUSE
        Background.pause = FIRST_PAUSE if ran_long else min(max(Background.pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
        Background.worker = None


def on_exit(server: Any) -> None:
    """Leave SQLite's database whole in one file, after all other processes have ended."""
    with server.app.wsgi().app_context(), suppress(DBAPIError):
        up_to_date()  # opens a connection; closing the last one writes the -wal file into the database
        close()


def on_reload(_server: Any) -> None:
    """Let one of the new processes become the background worker; the old one is stopped."""
    Background.worker, Background.pause = None, 0.0
