"""`kmzportal doctor`: small checks, each of which names a fault, its consequence and its cure.

What asks over the network runs in threads: the mail server, the proxy and the DNS each hang at most DONE_WITHIN
seconds. Nothing is sent to others than PUBLIC_URL, MAIL_SERVER, IMAP_SERVER and the DNS servers of this computer.
"""

import threading
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

from flask import Flask
from sqlalchemy.exc import DBAPIError

from kmzportal import settings
from kmzportal.db import db
from kmzportal.doctor import configuration, database, machine, mail, proxy, sender_domain
from kmzportal.doctor.check import CHECKS, Check, Portal, Skip
from kmzportal.services.diagnosis import TEXTS, Result

DONE_WITHIN = 25.0  # seconds
WITHOUT_APP = (machine, configuration)
NETWORK = (proxy, mail, sender_domain)
TOO_LATE = f"Die Prüfung hat in {DONE_WITHIN:.0f} Sekunden keine Antwort bekommen."
BROKEN = "Die Prüfung selbst ist gescheitert ({error})."
NOT_KNOWN = ("Ob hier etwas fehlt, ist nicht bekannt.", "Prüfen Sie noch einmal: kmzportal doctor")
Found = dict[str, Result | None]  #: by check; None for one that does not apply


def examine(instance: Path, app: Flask | None, http_port: int | None = None) -> list[Result]:
    """Return the results of all checks that apply. `app` is None when the settings have faults."""
    loaded = settings.read(instance)
    config = app.config if app else loaded.values
    portal = Portal(app, instance, config, datetime.now(UTC), loaded.faults, loaded.warnings, http_port)
    found: Found = {}
    deadline = time.monotonic() + DONE_WITHIN
    modules = NETWORK if app else ()
    threads = [threading.Thread(target=_run, args=(module, portal, found), daemon=True) for module in modules]
    for thread in threads:
        thread.start()
    for module in (*WITHOUT_APP, *([database] if app else [])):
        _run(module, portal, found)
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = {name: _unknown(name, TOO_LATE) for module in modules for name in CHECKS[module.__name__]}
    return [result for result in (late | found).values() if result]


def _run(module: ModuleType, portal: Portal, found: Found) -> None:
    with portal.app.app_context() if portal.app else nullcontext():
        for name, check in CHECKS[module.__name__].items():
            found[name] = _result(name, check, portal)


def _result(name: str, check: Check, portal: Portal) -> Result | None:
    try:
        finding = check(portal)
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
