"""`kmzportal doctor`: small checks, each of which names a fault, its consequence and its cure.

Each group runs in a thread, so that all have ended within DONE_WITHIN seconds, whichever server does not answer.
Nothing is sent to others than PUBLIC_URL, MAIL_SERVER, IMAP_SERVER and the DNS servers of this computer.
"""

import threading
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

from flask import Flask
from sqlalchemy.exc import DBAPIError

from kmzportal import settings
from kmzportal.db import db
from kmzportal.doctor.check import Checks, Skip
from kmzportal.doctor.configuration import Configuration
from kmzportal.doctor.database import Database
from kmzportal.doctor.machine import Machine
from kmzportal.doctor.mail import MailServers
from kmzportal.doctor.proxy import PublicAddress
from kmzportal.doctor.sender_domain import SenderDomain
from kmzportal.services.diagnosis import TEXTS, Result

DONE_WITHIN = 25.0  # seconds
WITHOUT_APP = (Machine, Configuration)
GROUPS = (*WITHOUT_APP, Database, PublicAddress, MailServers, SenderDomain)
TOO_LATE = f"Die Prüfung hat in {DONE_WITHIN:.0f} Sekunden keine Antwort bekommen."
BROKEN = "Die Prüfung selbst ist gescheitert ({error})."
NOT_KNOWN = ("Ob hier etwas fehlt, ist nicht bekannt.", "Prüfen Sie noch einmal: kmzportal doctor")
Found = dict[str, Result | None]  #: by check; None for one that does not apply


def examine(instance: Path, app: Flask | None, http_port: int | None = None) -> list[Result]:
    """Return the results of all checks that apply. `app` is None when the settings have faults."""
    loaded = settings.read(instance)
    facts = (app, instance, app.config if app else loaded.values, datetime.now(UTC), loaded.faults, loaded.warnings)
    groups = [group(*facts, http_port) for group in (GROUPS if app else WITHOUT_APP)]
    found: Found = {name: _unknown(name, TOO_LATE) for group in groups for name in group.names()}
    deadline = time.monotonic() + DONE_WITHIN
    threads = [threading.Thread(target=_run, args=(group, found), daemon=True) for group in groups]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [result for result in list(found.values()) if result]


def _run(group: Checks, found: Found) -> None:
    with group.app.app_context() if group.app else nullcontext():
        for name in group.names():
            found[name] = _result(group, name)


def _result(group: Checks, name: str) -> Result | None:
    try:
        finding = getattr(group, name)()
    except Skip:
        return None
    except DBAPIError:  # the checks `database` and `migrations` name the cause
        db.session.rollback()
        return None
    except Exception as error:  # one check must not hide the others
        return _unknown(name, BROKEN.format(error=type(error).__name__))
    if finding is None:
        return Result(name, TEXTS[name]["group"], "ok")
    sentences = (TEXTS[name][part].format(**finding.values).strip() for part in ("fault", "consequence", "cure"))
    return Result(name, TEXTS[name]["group"], finding.status, *sentences)


def _unknown(name: str, fault: str) -> Result:
    return Result(name, TEXTS[name]["group"], "warn", fault, *NOT_KNOWN)
