"""kmzportal: an account portal that people get back into by themselves."""

import logging
from pathlib import Path
from typing import Any

from flask import Flask

from kmzportal import settings
from kmzportal.db import db
from kmzportal.mail.delivery import mail_server
from kmzportal.services import passwords
from kmzportal.web import (
    account,
    account_link,
    address,
    demo,
    devices,
    errors,
    first_link,
    front_door,
    health,
    legal,
    login,
    proof,
    recovery,
    responses,
    robot_check,
    security,
    session_timeout,
    templates,
)
from kmzportal.web.auth import login_manager
from kmzportal.web.desk import audit, clerks, customers, outbox, requests
from kmzportal.web.desk import login as desk_login

EXTENSIONS = (db, login_manager, mail_server, responses.csrf)
BLUEPRINTS = (
    login.bp,
    recovery.bp,
    account_link.bp,
    robot_check.bp,
    address.bp,
    account.bp,
    proof.bp,
    devices.bp,
    customers.bp,
    session_timeout.bp,
    desk_login.bp,
    first_link.bp,
    clerks.bp,
    requests.bp,
    outbox.bp,
    audit.bp,
    health.bp,
    legal.bp,
)
PARTS = (security, templates, responses, errors, legal, front_door)

log = logging.getLogger(__name__)


def create_app(overrides: dict[str, Any] | None = None, instance: Path | None = None) -> Flask:
    """Return the application. `overrides` replace settings of file and environment; raises SettingsError."""
    instance = instance or settings.instance_path()
    app = Flask(__name__, instance_path=str(instance), static_folder=None)
    loaded, warnings = settings.load(instance)
    app.config.from_mapping(loaded | (overrides or {}))
    for warning in warnings:
        log.warning(warning)
    passwords.set_hashing_threads(app.config["HASHING_THREADS"])
    for extension in EXTENSIONS:
        extension.init_app(app)
    for blueprint in (*BLUEPRINTS, demo.bp) if app.config.get("DEMO") else BLUEPRINTS:
        app.register_blueprint(blueprint)
    for part in PARTS:
        part.init_app(app)
    return app
