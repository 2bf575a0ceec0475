"""The results of `kmzportal doctor`: their texts, when the worker checks, and the report. The checks are in doctor/."""

import hashlib
import re
import secrets
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from itsdangerous import Signer
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from kmzportal.models import Diagnosis
from kmzportal.services.transaction import Transaction, insert_once
from kmzportal.settings import BY_NAME

#: Group, name and the three sentences of each check.
TEXTS: dict[str, dict[str, str]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
LABELS = {"fail": "Fehler", "warn": "Warnung", "ok": "In Ordnung"}  #: by status, the worst first
EVERY = timedelta(hours=1)
AFTER_START = timedelta(minutes=1)  # then the proxy is there too
KEPT = timedelta(days=7)  # of a host that is gone
ADDRESS = re.compile(r"[^\s<>„“(),;:]+@[^\s<>„“(),;:]+")


@dataclass(frozen=True)
class Result:
    check: str  #: a key of TEXTS
    group: str
    status: str  #: a key of LABELS
    fault: str = ""
    consequence: str = ""
    cure: str = ""

    @property
    def name(self) -> str:
        return TEXTS[self.check]["name"] if self.check in TEXTS else self.check


def register_host(tx: Transaction, host: str) -> None:
    """Let the first check of a worker that starts be due in a minute."""
    due = {"due_at": tx.now + AFTER_START}
    if not insert_once(tx.session, Diagnosis, {"host": host, "results": [], **due}):
        tx.session.execute(update(Diagnosis).where(Diagnosis.host == host).values(due))


def is_due(session: Session, host: str, now: datetime) -> bool:
    """Return whether it is time, or the clock that set the time was wrong."""
    row = session.get(Diagnosis, host, populate_existing=True)
    return row is not None and not now < row.due_at <= now + EVERY


def store(tx: Transaction, host: str, results: Sequence[Result]) -> None:
    values = {"checked_at": tx.now, "due_at": tx.now + EVERY, "results": [asdict(result) for result in results]}
    tx.session.execute(update(Diagnosis).where(Diagnosis.host == host).values(values))
    tx.session.execute(delete(Diagnosis).where(Diagnosis.due_at < tx.now - KEPT))


def check_now(tx: Transaction) -> None:
    """Let the workers of all hosts check at once."""
    tx.session.execute(update(Diagnosis).values(due_at=tx.now))
    tx.record("diagnosis.requested")


def latest(session: Session) -> Sequence[tuple[Diagnosis, list[Result]]]:
    """Return each host with its results, the worst first."""
    rows = session.scalars(select(Diagnosis).order_by(Diagnosis.host)).all()
    return [(row, worst_first([Result(**result) for result in row.results])) for row in rows]


def worst_first(results: Sequence[Result]) -> list[Result]:
    return sorted(results, key=lambda result: list(LABELS).index(result.status))


def report(results: Sequence[Result], settings: Mapping[str, Any]) -> str:
    """Return the results as German text that may be shown to others: without secrets, user names and addresses."""
    lines = []
    for result in results:
        sentences = [result.fault, result.consequence, result.cure] if result.fault else []
        lines += [f"{LABELS[result.status]}: {result.group} – {result.name}", *(f"    {text}" for text in sentences)]
    text = ADDRESS.sub("(Adresse)", "\n".join(lines))
    for setting in BY_NAME.values():
        if setting.secret or setting.name.endswith("_USERNAME"):
            value = settings[setting.name]
            for secret in filter(None, value if isinstance(value, list) else [value]):
                text = text.replace(secret, "(verdeckt)")
    return text


# The probe: a request of the doctor to this portal through its proxy


def new_probe(settings: Mapping[str, Any]) -> str:
    return _signer(settings).sign(secrets.token_hex(8)).decode()


def is_own_probe(settings: Mapping[str, Any], probe: str) -> bool:
    """Return whether a portal with this SECRET_KEY sent the request."""
    return bool(settings["SECRET_KEY"]) and _signer(settings).validate(probe)


def _signer(settings: Mapping[str, Any]) -> Signer:
    return Signer(settings["SECRET_KEY"], salt="doctor", digest_method=hashlib.sha256)
