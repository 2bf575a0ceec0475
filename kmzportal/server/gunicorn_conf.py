"""gunicorn's settings for this portal (https://docs.gunicorn.org/en/stable/settings.html).

gunicorn starts three processes and watches them: two serve pages, the third is the background worker (worker.py).
It starts each anew when it ends, passes SIGTERM and SIGHUP on, and each ends by itself once gunicorn is gone.
"""

import gc
import logging
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.workers.gthread import ThreadWorker
from sqlalchemy.orm import configure_mappers

from kmzportal.server.worker import run_loops

gc.disable()  # until share_memory, as https://docs.python.org/3/library/gc.html#gc.freeze advises: pages stay shared
WITH_BACKGROUND_WORKER = os.environ.get("KMZ_BACKGROUND_WORKER") == "1"
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds before a background worker that ended starts again
LOOK_EVERY = 0.2  # seconds
TOKEN = re.compile(r"(/link/)[^\s/?]+")

workers = 2 + WITH_BACKGROUND_WORKER
worker_class = "kmzportal.server.gunicorn_conf.PortalWorker"
threads = 24  # more than may wait for a password hash, so that pages go on
preload_app = True  # imported once, and its memory shared
graceful_timeout = 20  # seconds to finish requests and mails that were begun
control_socket_disable = True
forwarded_allow_ips = ""  # PROXY_HOPS alone decides which proxies are trusted
accesslog = None  # paths contain tokens
loglevel = "warning"
proc_name = "kmzportal"


class PortalWorker(ThreadWorker):  # type: ignore[misc]
    """A process that serves pages, or the background worker, if pre_fork gave it a pause."""

    pause: float | None = None  # seconds before the background loops begin

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
            signal.signal(signum, self.handle_exit)  # finish a mail that was begun, as after SIGTERM
        self._wait(time.monotonic() + pause)
        if self.alive:
            with run_loops(self.wsgi):
                self._wait(float("inf"))

    def _wait(self, until: float) -> None:
        """Wait until then, or until gunicorn asks this process to end, or is gone itself."""
        while self.alive and os.getppid() == self.ppid and time.monotonic() < until:
            self.notify()
            time.sleep(LOOK_EVERY)


class Background:
    """The present background worker, and how long the next one waits."""

    worker: PortalWorker | None = None
    started = 0.0
    pause = 0.0


def when_ready(server: Any) -> None:
    if os.isatty(0):  # the terminal was closed; without one SIGHUP means: renew the processes
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    for signum in (signal.SIGTTIN, signal.SIGTTOU):
        signal.signal(signum, signal.SIG_IGN)  # gunicorn would end the oldest process, which may be the background's
    share_memory(server.app.wsgi())
    url = server.app.wsgi().config["PUBLIC_URL"]
    print(f"kmzportal läuft unter {url} ({server.cfg.bind[0]}).", flush=True)


def share_memory(app: Flask) -> None:
    """Do before the fork what each process would do at its first requests, in memory of its own."""
    for name in app.jinja_env.list_templates(extensions=["html"]):
        app.jinja_env.get_template(name)
    configure_mappers()
    gc.freeze()
    gc.enable()


def pre_fork(server: Any, worker: PortalWorker) -> None:
    """Make this one the background worker if there is none."""
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


def on_reload(_server: Any) -> None:
    """Let one of the new processes be the background worker; the old one ends with the old ones."""
    Background.worker, Background.pause = None, 0.0


def hide_tokens(record: logging.LogRecord) -> bool:
    """Keep tokens out of gunicorn's messages about broken requests."""
    record.msg, record.args = TOKEN.sub(r"\1…", record.getMessage()), ()
    return True


logging.getLogger("gunicorn.error").addFilter(hide_tokens)
