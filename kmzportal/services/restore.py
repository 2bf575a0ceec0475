"""Restoring a backup: what it replaces, and what must not come back with it: sessions, links, and who lost access."""

import sqlite3
import tomllib
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree
from typing import Any

from sqlalchemy import delete, func, inspect, or_, select, update
from sqlalchemy.exc import DatabaseError

from kmzportal.dates import format_datetime
from kmzportal.db import NEWEST_VERSION, close, db, schema_version
from kmzportal.models import (
    AccountLink,
    AuditEvent,
    Clerk,
    Customer,
    DeletedCustomer,
    Heartbeat,
    KnownDevice,
    LinkKind,
    LinkState,
    LoginSession,
    MailState,
    Objection,
    OutgoingMail,
)
from kmzportal.services import accounts, audit_chain, backup, clerks, deletion, keys, postgres_tools
from kmzportal.services.backup import CONFIG, DATABASES, Manifest
from kmzportal.services.refusals import OperationRefused
from kmzportal.services.tokens import LinkKeys
from kmzportal.services.transaction import Transaction, upsert
from kmzportal.settings import KEYS

IN_USE = "Die Datenbank wird noch benutzt. Beenden Sie vorher das Portal und andere Befehle."
OTHER_ENGINE = "Die Sicherung ist aus {theirs}, eingestellt ist {ours}: Ändern Sie SQLALCHEMY_DATABASE_URI."
UNREADABLE = "{file} enthält keine Schlüssel des Portals ({why})."
#: An objection ("Das war ich nicht") stays open: it guards against a takeover, and only locks the account.
ENDED = [kind for kind in LinkKind if kind is not LinkKind.OBJECTION]
LOST_SINCE = "War seit der eingespielten Sicherung schon gesperrt, oder jemand hatte widersprochen"
#: Who has no access, or less, in what is replaced.
LOCKED = select(Customer.number_canonical, Customer.email_canonical, Customer.locked_at, Customer.objection).where(
    or_(Customer.locked_at.is_not(None), Customer.objection.is_not(None))
)
CLERKS = select(Clerk.email_canonical, Clerk.admin, Clerk.locked_at, Clerk.left_at)


@dataclass(frozen=True)
class Present:
    """What a restore replaces, and what of it must be kept."""

    customers: int | None = None  #: None when the database is damaged
    latest: datetime | None = None  #: of the audit trail
    deleted: Sequence[DeletedCustomer] = ()
    locked: Sequence[Any] = ()  #: customers who are locked or have objected
    clerks: Sequence[Any] = ()


def read_keys(file: Path) -> dict[str, Any]:
    """Return the secrets that `backup --keys` wrote; raises OperationRefused."""
    try:
        secrets = tomllib.loads(file.read_text("utf-8"))
        if missing := set(KEYS) - {"AUDIT_KEY"} - secrets.keys():  # AUDIT_KEY came later
            raise ValueError(", ".join(missing))
    except (OSError, ValueError) as error:
        raise OperationRefused(UNREADABLE.format(file=file, why=error)) from None
    return secrets


def add_missing_files(instance: Path, content: Path, secrets: dict[str, Any]) -> bool:
    """Create configuration and keys where there are none; add the secrets that an own configuration lacks.

    Return whether the configuration was created.
    """
    config, saved = instance / CONFIG, content / CONFIG
    text = config.read_text("utf-8") if config.exists() else ""
    own, added = tomllib.loads(text), {name: secrets[name] for name in secrets if name not in KEYS}
    created = not config.exists() and saved.exists()
    if created:
        added = tomllib.loads(saved.read_text("utf-8")) | added  # with the password of the database, if it has one
    if added := {name: value for name, value in added.items() if name not in own}:
        backup.write_private(config, f"{text.rstrip()}\n{backup.toml(added)}".lstrip())
    for name in secrets.keys() & set(KEYS):
        if not (instance / name.lower()).exists():
            backup.write_private(instance / name.lower(), secrets[name])
    return created


def replace_files(instance: Path, content: Path, secrets: dict[str, Any]) -> None:
    """Replace the office's pages and the keys; a key that differs is kept as NAME.replaced."""
    if (content / "pages").exists():
        copytree(content / "pages", instance / "pages", dirs_exist_ok=True)
    for name in secrets.keys() & set(KEYS):
        path = instance / name.lower()
        if path.read_text("utf-8").strip() != secrets[name]:
            path.replace(path.with_name(f"{path.name}.replaced"))
            backup.write_private(path, secrets[name])


def look(manifest: Manifest) -> Present | None:
    """Return what is in the database; None when it has no tables. Raises OperationRefused if it is in use."""
    ours = db.engine.dialect.name
    if manifest.engine != ours:
        raise OperationRefused(OTHER_ENGINE.format(theirs=manifest.engine, ours=ours))
    _refuse_if_used()
    try:
        tables = inspect(db.engine).get_table_names()
        if "customer" not in tables:
            return None
        deleted = select(DeletedCustomer) if DeletedCustomer.__tablename__ in tables else None
        same = schema_version() == NEWEST_VERSION  # an older one lacks some of the columns
        return Present(
            db.session.scalar(select(func.count()).select_from(Customer)),
            db.session.scalar(select(func.max(AuditEvent.at))),
            db.session.scalars(deleted).all() if deleted is not None else (),
            db.session.execute(LOCKED).all() if same else (),
            db.session.execute(CLERKS).all() if same else (),
        )
    except DatabaseError as error:
        if backup.is_damage(error.orig):
            return Present()
        raise


def keep(instance: Path, settings: Any, present: Present) -> Path:
    """Make a backup of what is replaced; a damaged file is kept as it is. Return its path."""
    if present.customers is not None:
        with suppress(backup.DamagedDatabase):
            return backup.create(instance, settings)
    close()
    path = Path(str(db.engine.url.database))
    return path.replace(path.with_name(f"{path.name}.damaged-{datetime.now(UTC):%Y%m%d-%H%M%S}"))


def replace_database(content: Path) -> None:
    """Replace all rows by those of an unpacked backup, in one transaction."""
    _refuse_if_used()
    if db.engine.dialect.name == "postgresql":
        postgres_tools.load(content / DATABASES["postgresql"])
        return
    path = str(db.engine.url.database)
    with closing(sqlite3.connect(content / DATABASES["sqlite"])) as source, closing(sqlite3.connect(path)) as target:
        source.backup(target)


def settle(
    tx: Transaction, manifest: Manifest, present: Present, old_keys: LinkKeys, with_keys: bool
) -> tuple[Sequence[Clerk], int, int]:
    """End sessions, known devices, links and their mails; delete or lock again who was deleted or locked since.

    Return the clerks who need a new second factor, and the numbers of people deleted and locked again. With keys that
    still differ, because a setting overrides them, their fingerprints are not taken and the portal refuses to start.
    """
    made_at = datetime.fromisoformat(manifest.made_at)
    tx.session.execute(update(LoginSession).where(LoginSession.ended_at.is_(None)).values(ended_at=tx.now))
    tx.session.execute(delete(KnownDevice))  # some may have been ended since
    still_open = update(AccountLink).where(AccountLink.ended_at.is_(None), AccountLink.kind.in_(ENDED))
    tx.session.execute(still_open.values(ended_at=tx.now, ended_as=LinkState.WITHDRAWN))
    ended = select(AccountLink.id).where(AccountLink.ended_at == tx.now)
    waiting = OutgoingMail.state.in_((MailState.QUEUED, MailState.DEFERRED))
    cancelled = {"state": MailState.CANCELLED, "settled_at": tx.now, "leased_until": None, "outage_since": None}
    mails = update(OutgoingMail).where(waiting, OutgoingMail.link_id.in_(ended))
    tx.session.execute(mails.values(cancelled | {"reason": "Der Link endete, als eine Sicherung eingespielt wurde."}))
    tx.session.execute(delete(Heartbeat))  # of the time of the backup; the clock would seem to have jumped since
    number = _delete_again(tx, present.deleted, old_keys)
    locked = sum(_lock_customer_again(tx, row) for row in present.locked)
    locked += sum(_limit_clerk_again(tx, row) for row in present.clerks)
    need_factor = [] if with_keys and keys.differing(tx.session, tx.settings) else keys.take(tx)
    if manifest.schema < audit_chain.SINCE:
        audit_chain.adopt(tx.session, tx.settings)
    tx.record("backup.restored", why=f"Stand vom {format_datetime(made_at)}", number=number)
    return need_factor, number, locked


def _delete_again(tx: Transaction, deleted: Sequence[DeletedCustomer], old_keys: LinkKeys) -> int:
    """Delete the customers who were deleted since the backup; return how many."""
    for row in deleted:
        at = {"deleted_at": row.deleted_at}
        upsert(tx.session, DeletedCustomer, {"number_hash": row.number_hash, **at}, at)
    numbers = tx.session.scalars(select(Customer.number)).all()
    again: dict[str, datetime] = {}
    for link_keys in (old_keys, tx.keys):
        again |= deletion.deleted_numbers(tx.session, link_keys, numbers)
    for customer in tx.session.scalars(select(Customer).where(Customer.number.in_(again))).all():
        before = again[customer.number]
        why = f"Gelöscht am {format_datetime(before)}; stand noch in der eingespielten Sicherung"
        deletion.delete_customer(tx, customer, customer.version, why, loans_open=False, before=before)
    return len(again)


def _lock_customer_again(tx: Transaction, row: Any) -> bool:
    """Lock a customer who was locked since the backup, or whose address moved after an objection.

    The backup may hold address and password of an intruder, so the desk has to look at the account.
    """
    customer = tx.session.scalar(select(Customer).where(Customer.number_canonical == row.number_canonical))
    if customer is None or customer.locked_at:
        return False
    if not row.locked_at and row.email_canonical == customer.email_canonical:
        return False
    accounts.lock(tx, customer)
    if row.objection:
        customer.objection, customer.password_hash = Objection.OPEN, None
    tx.record("account.locked", customer, why=LOST_SINCE)
    return True


def _limit_clerk_again(tx: Transaction, row: Any) -> bool:
    """Take from a clerk what was lost since the backup: all access, or the right to manage."""
    clerk = clerks.find(tx.session, row.email_canonical)
    if clerk is None or clerk.left_at:
        return False
    if row.left_at:
        clerks.end_access(tx, clerk, row.left_at)
    elif row.locked_at and not clerk.locked_at:
        accounts.lock(tx, clerk)
        clerk.admin = clerk.admin and row.admin
        tx.record("clerk.locked", clerk)
    elif clerk.admin > row.admin:
        clerk.admin = False
        tx.record("clerk.changed", clerk, fields=["admin"], admin=False)
    else:
        return False
    return True


def _refuse_if_used() -> None:
    """Raise OperationRefused while others use the database. SQLite's -wal file is written into it and removed."""
    close()
    if db.engine.dialect.name == "postgresql":
        postgres_tools.refuse_if_used()
        return
    with closing(sqlite3.connect(str(db.engine.url.database), timeout=1)) as database:
        try:
            database.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.DatabaseError as error:
            if not backup.is_damage(error):  # which a restore mends
                raise OperationRefused(f"{IN_USE} ({error})") from None
