"""gunicorn, set up for this portal."""

import logging
import os
import re
import signal
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from kmzportal.server.process import WATCHED, die_with

OPTIONS = {
    "workers": 2,
    "threads": 24,  # more than may wait for a hash, so that pages go on
    "worker_class": "gthread",
    "graceful_timeout": 20,  # seconds to finish what was begun
    "control_socket_disable": True,
    "forwarded_allow_ips": "",  # whom to believe is said once, by PROXY_HOPS
    "accesslog": None,  # tokens stand in paths
    "loglevel": "warning",
    "proc_name": "kmzportal",
}
TOKEN = re.compile(r"(/link/)[^\s/?]+")


class WebServer(BaseApplication):  # type: ignore[misc]
    """Serves an app that was imported before the fork."""

    def __init__(self, app: Flask, host: str, port: int):
        self.app = app
        name = f"[{host}]" if ":" in host else host
        self.options = {**OPTIONS, "bind": f"{name}:{port}", "when_ready": self._announce, "post_fork": self._begin}
        super().__init__()

    def load_config(self) -> None:
        for option, value in self.options.items():
            self.cfg.set(option, value)

    def load(self) -> Flask:
        return self.app

    def _announce(self, _arbiter: Any) -> None:
        print(f"kmzportal läuft unter {self.app.config['PUBLIC_URL']} ({self.options['bind']}).", flush=True)

    @staticmethod
    def _begin(arbiter: Any, _worker: Any) -> None:
        """Until the new process has its own handlers, a signal ends it; gunicorn's inherited ones would swallow it."""
        die_with(arbiter.pid)
        for signum in WATCHED:
            signal.signal(signum, signal.SIG_DFL)


def hide_tokens(record: logging.LogRecord) -> bool:
    """Keep tokens out of what gunicorn says about a broken request."""
    record.msg, record.args = TOKEN.sub(r"\1…", record.getMessage()), ()
    return True


def run(app: Flask, host: str, port: int) -> int:
    """Serve until a signal ends it; gunicorn leaves by SystemExit."""
    logging.getLogger("gunicorn.error").addFilter(hide_tokens)
    WebServer(app, host, port).run()
    return os.EX_OK
