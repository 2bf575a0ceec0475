"""kmzportal: an account portal in which people can restore access to their account by themselves."""

import logging
from pathlib import Path
from typing import Any

from flask import Flask

from kmzportal import settings
from kmzportal.db import db
from kmzportal.mail.delivery import mail_server
from kmzportal.services import passwords
from kmzportal.web import auth, errors, responses, session_timeout, static_files
from kmzportal.web.customer import account, login, recovery, support
from kmzportal.web.customer import passkeys as customer_passkeys
from kmzportal.web.desk import (
    audit,
    clerks,
    customers,
    deletion,
    diagnosis,
    letters,
    outbox,
    own_access,
    report,
    requests,
    search,
)
from kmzportal.web.desk import login as desk_login
from kmzportal.web.desk import passkeys as clerk_passkeys
from kmzportal.web.link import letter, pages, robot_check
from kmzportal.web.site import demo, health, office_pages

EXTENSIONS = (db, mail_server, responses.csrf)
CUSTOMER_PAGES = (login, recovery, support, account, customer_passkeys)
LINK_PAGES = (pages, robot_check, letter)
DESK_PAGES = (
    *(desk_login, search, customers, letters, deletion, requests, outbox, audit, report, diagnosis),
    *(clerks, own_access, clerk_passkeys),
)
SITE_PAGES = (session_timeout, health, office_pages)
PARTS = (auth, responses, errors, office_pages, static_files)

log = logging.getLogger(__name__)


def create_app(overrides: dict[str, Any] | None = None, instance: Path | None = None, make_keys: bool = True) -> Flask:
    """Return the application. `overrides` replace settings of file and environment; raises SettingsError.

    `make_keys`: missing keys are made, in an instance folder that exists.
    """
    instance = instance or settings.instance_path()
    app = Flask(__name__, instance_path=str(instance), static_folder=None)
    loaded, warnings = settings.load(instance, overrides=overrides, make_keys=make_keys)
    app.config.from_mapping((overrides or {}) | loaded)
    for warning in warnings:
        log.warning(warning)
    passwords.set_hashing_threads(app.config["HASHING_THREADS"])
    for extension in EXTENSIONS:
        extension.init_app(app)
    for module in (*CUSTOMER_PAGES, *LINK_PAGES, *DESK_PAGES, *SITE_PAGES):
        app.register_blueprint(module.bp)
    if app.config.get("DEMO"):
        app.register_blueprint(demo.bp)
    for part in PARTS:
        part.init_app(app)
    return app
