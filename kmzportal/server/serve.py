"""serve: look at the settings, migrate, then let a web server and a worker run."""

import os
import socket
import sys

import flask_migrate
from flask import Flask

from kmzportal.configuration import faults
from kmzportal.db import db
from kmzportal.server import web_server, worker
from kmzportal.server.supervisor import supervise
from kmzportal.services import passwords

BAD_SETTINGS = 2
DEBUGGING = "FLASK_DEBUG ist gesetzt. Das ist nur für `kmzportal run` auf dem eigenen Rechner."
MAIL_WAITS = "MAIL_SERVER ist leer: E-Mails warten im Postausgang, bis ein Mailserver eingetragen ist."


def serve(app: Flask, host: str, port: int, with_worker: bool = True) -> int:
    """Serve until a signal comes and return the exit status."""
    if wrong := reasons_not_to(app):
        print(*wrong, sep="\n", file=sys.stderr)
        return BAD_SETTINGS
    if taken := taken_by_another(host, port):
        print(taken, file=sys.stderr)
        return os.EX_UNAVAILABLE
    prepare(app)
    if not app.config["MAIL_SERVER"] and not app.config.get("DEMO"):
        print(MAIL_WAITS, file=sys.stderr)
    return supervise(lambda: web_server.run(app, host, port), (lambda: worker.work(app)) if with_worker else None)


def work(app: Flask) -> int:
    """Run the worker alone, without a web server."""
    prepare(app)
    return worker.work(app)


def prepare(app: Flask) -> None:
    """Bring the database up to date; then let go of connections and threads, which no fork carries over."""
    os.umask(0o077)
    with app.app_context():
        flask_migrate.upgrade()
        db.session.remove()
        db.engine.dispose()
    passwords.set_hashing_threads(app.config["HASHING_THREADS"])


def reasons_not_to(app: Flask) -> list[str]:
    return faults(app.config) + ([DEBUGGING] if app.debug else [])


def taken_by_another(host: str, port: int) -> str | None:
    """Say in German why nothing can be served here, before anything is begun."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        socket.create_server((host, port), family=family).close()
    except (OSError, OverflowError):
        return f"{host}, Port {port}, ist nicht frei oder keine Adresse dieses Rechners. Ändern Sie --port oder --host."
    return None
