"""Restoring a backup: what it replaces, and what must not come back with it.

That is sessions, links, deleted people, and all access that a person lost since: by a lock, an objection, another
password, another app, or a passkey that was removed. It is compared with the database that is replaced, account by
account; nothing that the backup lacks is added to it.
"""

import sqlite3
import tomllib
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree
from typing import Any

from sqlalchemy import delete, func, inspect, null, select, update
from sqlalchemy.exc import DatabaseError

from kmzportal.dates import format_datetime
from kmzportal.db import NEWEST_VERSION, Base, close, db, schema_version
from kmzportal.models import (
    AddressProposal,
    AuditEvent,
    Clerk,
    Customer,
    DeletedCustomer,
    Heartbeat,
    KnownDevice,
    LoginSession,
    Objection,
    Passkey,
)
from kmzportal.plain_text import canonical_number
from kmzportal.services import accounts, audit_chain, backup, clerks, deletion, keys, links, passkeys, postgres_tools
from kmzportal.services.backup import CONFIG, DATABASES, Manifest
from kmzportal.services.refusals import OperationRefused
from kmzportal.services.second_factor import RECOVERY_CODES
from kmzportal.services.tokens import LinkKeys
from kmzportal.services.transaction import Transaction, upsert
from kmzportal.settings import KEYS

IN_USE = "Die Datenbank wird noch benutzt. Beenden Sie vorher das Portal und andere Befehle."
OTHER_ENGINE = "Die Sicherung ist aus {theirs}, eingestellt ist {ours}: Ändern Sie SQLALCHEMY_DATABASE_URI."
PENDING = "restore.pending"  #: in the instance folder, while a restore is not finished
NOT_WRITABLE = "Die eigenen Seiten in {folder} können nicht ersetzt werden. Sie müssen dem Portal gehören. ({why})"
UNREADABLE = "{file} enthält keine Schlüssel des Portals ({why})."
#: An objection ("Das war ich nicht") stays open: it guards against a takeover, and only locks the account.
LOST_SINCE = "War seit der eingespielten Sicherung schon gesperrt, oder jemand hatte widersprochen"
#: What is compared of each account; a customer's number may be spelled in another way in the backup.
PERSON = ("email_canonical", "password_hash", "password_set_at", "locked_at")
COMPARED: dict[type[Base], tuple[str, ...]] = {
    Customer: ("id", "number", "number_canonical", "created_at", "objection", *PERSON),
    Clerk: ("id", "admin", "left_at", "factor_nonce", "recovery_nonce", "recovery_codes_used", *PERSON),
    # A device chooses the id of a passkey, so it could be registered again for another account.
    Passkey: ("credential_id", "public_key", "user_handle", "clerk_id"),
    DeletedCustomer: ("number_hash", "deleted_at"),
}


@dataclass(frozen=True)
class Present:
    """What a restore replaces, and what of it must be kept."""

    customers: Sequence[Any] | None = None  #: None when the database is damaged
    latest: datetime | None = None  #: of the audit trail
    deleted: Sequence[Any] = ()
    objected: Mapping[int | None, datetime] = field(default_factory=dict)  #: latest objection or report, by customer
    clerks: Sequence[Any] = ()
    passkeys: Sequence[Any] | None = None  #: None if they are not known
    complete: bool = False  #: whether it is known what everybody lost since the backup


@dataclass(frozen=True)
class Settled:
    """What a restore changed, by kind of person."""

    deleted: int  #: customers
    limited: int  #: customers and clerks who were locked, or lost the right to manage
    passwords: int  #: customers without a lock whose password was deleted
    need_link: Sequence[Clerk]  #: a first one


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
    """Replace the office's pages and the keys; a key that differs is kept as NAME.replaced. Raises OperationRefused."""
    if (content / "pages").exists():
        try:
            copytree(content / "pages", instance / "pages", dirs_exist_ok=True)
        except OSError as error:  # shutil.Error is one
            raise OperationRefused(NOT_WRITABLE.format(folder=instance / "pages", why=error)) from None
    for name in secrets.keys() & set(KEYS):
        path = instance / name.lower()
        present = path.read_text("utf-8").strip()
        if present != secrets[name]:
            # In this order, as a file of this name may be left from an earlier restore.
            backup.write_private(_replaced(path), present)
            noted = (instance / PENDING).read_text("utf-8")
            backup.write_private(instance / PENDING, f"{noted}\n{name}")
            backup.write_private(path, secrets[name])


def _replaced(key: Path) -> Path:
    return key.with_name(f"{key.name}.replaced")


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
        latest = select(AuditEvent.customer_id, func.max(AuditEvent.at)).group_by(AuditEvent.customer_id)
        objected = latest.where(AuditEvent.action.in_(("address.objected", "account.reported")))
        rows = {table: _rows(table) for table in COMPARED}
        return Present(
            customers=rows[Customer],
            latest=db.session.scalar(select(func.max(AuditEvent.at))),
            deleted=rows[DeletedCustomer] or (),
            objected={row[0]: row[1] for row in db.session.execute(objected)},
            clerks=rows[Clerk] or (),
            passkeys=rows[Passkey],
            # What an older version lacks did not exist; a newer one may have given it another name.
            complete=(schema_version() or "") <= NEWEST_VERSION or not any(map(_lacking, COMPARED)),
        )
    except DatabaseError as error:
        if backup.is_damage(error.orig):
            return Present()
        raise


def _lacking(table: type[Base]) -> set[str]:
    """Return which of the compared columns the present database lacks: after a failed update, or before one."""
    inspector = inspect(db.engine)
    names = set(COMPARED[table])
    if not inspector.has_table(table.__tablename__):
        return names
    return names - {column["name"] for column in inspector.get_columns(table.__tablename__)}


def _rows(table: type[Base]) -> Sequence[Any] | None:
    """Return the compared columns of all rows, None in place of columns that are lacking; None without the table."""
    names, lacking = COMPARED[table], _lacking(table)
    if lacking == set(names):
        return None
    columns = (null().label(name) if name in lacking else getattr(table, name) for name in names)
    return db.session.execute(select(*columns)).all()


def keep(instance: Path, settings: Any, present: Present) -> Path:
    """Make a backup of what is replaced; a damaged file is kept as it is. Return its path."""
    if present.customers is not None:
        with suppress(backup.DamagedDatabase):
            return backup.create(instance, settings, prune=False)  # the oldest one may be what is restored
    close()
    path = Path(str(db.engine.url.database))
    return path.replace(path.with_name(f"{path.name}.damaged-{datetime.now(UTC):%Y%m%d-%H%M%S}"))


def begin(instance: Path, kept: Path | None) -> None:
    """Note that a restore has begun, and where the database is kept that it replaces.

    `replace_files` adds the names of the keys that it replaces, one a line.
    """
    backup.write_private(instance / PENDING, str(kept or ""))


def end(instance: Path) -> None:
    (instance / PENDING).unlink()


def is_pending(instance: Path) -> bool:
    """Return whether a restore was interrupted: access that was taken since the backup may be back."""
    return (instance / PENDING).exists()


def bring_back_keys(instance: Path) -> None:
    """After an interrupted restore bring back the keys that it has replaced."""
    for name in _noted(instance)[1:]:
        path = instance / name.lower()
        if _replaced(path).exists():
            _replaced(path).replace(path)


def bring_back_database(instance: Path, folder: Path) -> bool:
    """After an interrupted restore bring back the database that it has replaced, to compare the backup with it.

    Return whether there was one that could be.
    """
    kept = Path(_noted(instance)[0])
    if not kept.name or ".damaged-" in kept.name:
        return False
    backup.unpack(kept, folder, newest=None)  # after an update that failed, what is replaced is of the newer version
    replace_database(folder)
    return True


def _noted(instance: Path) -> list[str]:
    """Return where an interrupted restore keeps the database that it replaces, then the keys that it has replaced."""
    return (instance / PENDING).read_text("utf-8").split("\n") if is_pending(instance) else [""]


def replace_database(content: Path) -> None:
    """Replace all rows by those of an unpacked backup, in one transaction."""
    _refuse_if_used()
    if db.engine.dialect.name == "postgresql":
        postgres_tools.load(content / DATABASES["postgresql"])
        return
    path = str(db.engine.url.database)
    with closing(sqlite3.connect(content / DATABASES["sqlite"])) as source, closing(sqlite3.connect(path)) as target:
        source.backup(target)


def settle(tx: Transaction, manifest: Manifest, present: Present, old_keys: LinkKeys, with_keys: bool) -> Settled:
    """End sessions, known devices, proposals, links and their mails, and take from everybody again what was lost since.

    With keys that still differ, because a setting overrides them, their fingerprints are not taken and the portal
    refuses to start.
    """
    made_at = datetime.fromisoformat(manifest.made_at)
    _end_sessions_and_links(tx)
    tx.session.execute(delete(Heartbeat))  # of the time of the backup; the clock would seem to have jumped since
    stored = {row.number_canonical or canonical_number(row.number): row for row in present.customers or ()}
    deleted = _delete_again(tx, present.deleted, stored, old_keys)
    lost_passkey = _remove_passkeys_again(tx, present.passkeys)
    have_passkey = {row.clerk_id for row in present.passkeys or ()}
    objected = {customer_id for customer_id, at in present.objected.items() if at > made_at}
    limited, passwords = _limit_customers_again(tx, stored, objected)
    clerks_limited, need_link = _limit_clerks_again(tx, present.clerks, lost_passkey, have_passkey)
    if not (with_keys and keys.differing(tx.session, tx.settings)):
        need_link.update(keys.take(tx))
    if manifest.schema < audit_chain.SINCE:
        audit_chain.adopt(tx.session, tx.settings)
    tx.record("backup.restored", why=f"Stand vom {format_datetime(made_at)}", number=deleted)
    return Settled(deleted, limited + clerks_limited, passwords, sorted(need_link, key=lambda clerk: clerk.name))


def _end_sessions_and_links(tx: Transaction) -> None:
    tx.session.execute(update(LoginSession).where(LoginSession.ended_at.is_(None)).values(ended_at=tx.now))
    tx.session.execute(delete(KnownDevice))  # some may have been ended since
    tx.session.execute(delete(AddressProposal))  # another clerk may have refused it since
    links.end_all(tx, "Der Link endete, als eine Sicherung eingespielt wurde.")


def _delete_again(tx: Transaction, deleted: Sequence[Any], stored: Mapping[str, Any], old_keys: LinkKeys) -> int:
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


def _remove_passkeys_again(tx: Transaction, present: Sequence[Any] | None) -> set[int]:
    """Remove the passkeys that are no longer there; return the ids of the clerks who had one of them."""
    kept = {_identity(row) for row in present or ()}
    removed = [
        passkey
        for passkey in tx.session.scalars(select(Passkey)).all()
        if present is not None and _identity(passkey) not in kept
    ]
    for passkey in removed:
        tx.session.delete(passkey)
        tx.record("passkey.ended", passkey.holder, passkey=passkey.name)
    return {passkey.clerk_id for passkey in removed if passkey.clerk_id}


def _identity(passkey: Any) -> tuple[str, str, str]:
    """Return what only one passkey of one account has."""
    return passkey.credential_id, passkey.public_key, passkey.user_handle


def _limit_customers_again(
    tx: Transaction, stored: Mapping[str, Any], objected: Collection[int | None]
) -> tuple[int, int]:
    """Return how many customers were locked again, and how many others lost their password.

    `stored`: the present rows by number_canonical; `objected`: ids of those who have objected since the backup.
    """
    locked = passwords = 0
    for customer in tx.session.scalars(select(Customer)).all():
        if row := stored.get(customer.number_canonical):
            locked += _lock_customer_again(tx, row, customer, row.id in objected)
            passwords += _forget_password(row, customer) and not customer.locked_at
    return locked, passwords


def _lock_customer_again(tx: Transaction, row: Any, customer: Customer, objected_since: bool) -> bool:
    """Lock a customer who is locked or has objected since the backup; return whether that took anything away.

    After an objection, and where the address moved besides a lock, the backup may hold the address and the password of
    an intruder: the objection is open again, so that the desk has to look at the account.
    """
    before = customer.locked_at, customer.objection, customer.password_hash
    moved = row.email_canonical != customer.email_canonical
    if (
        objected_since
        or row.objection == Objection.OPEN
        or (row.objection and not customer.objection)
        or (moved and (row.objection or row.locked_at))
    ):
        accounts.lock(tx, customer)
        customer.objection, customer.password_hash = Objection.OPEN, None
    elif row.locked_at:
        accounts.lock(tx, customer)
    if before == (customer.locked_at, customer.objection, customer.password_hash):
        return False
    tx.record("account.locked", customer, why=LOST_SINCE)
    return True


def _forget_password(row: Any, person: Customer | Clerk) -> bool:
    """Delete a password that was replaced or deleted since the backup; return whether there was one.

    It may be known to others (NIST SP 800-63B-4, 3.1.1.2: changed on evidence of compromise). One that was only hashed
    anew has the same password_set_at.
    """
    set_at = person.password_set_at
    lost = row.password_set_at and (row.password_hash is None or set_at is None or row.password_set_at > set_at)
    if not (person.password_hash and lost):
        return False
    person.password_hash = None
    return True


def _forget_factor(tx: Transaction, row: Any, clerk: Clerk, passkey: bool) -> None:
    """Delete password, app and recovery codes of a clerk as far as they were replaced, or the last factor is missing.

    `passkey`: the clerk had a removed one, or has one by now. Without its second factor the password does not stay
    either: it alone would log in, or set up another factor.
    """
    _forget_password(row, clerk)
    if clerk.factor_nonce != row.factor_nonce:
        clerk.factor_nonce = clerk.password_hash = None
    elif passkey and not clerk.factor_nonce and not passkeys.all_of(tx.session, clerk):
        clerk.password_hash = None
    if clerk.recovery_nonce != row.recovery_nonce:
        clerk.recovery_codes_used = list(range(RECOVERY_CODES))
    else:  # each counts once (OWASP ASVS 6.5.1)
        clerk.recovery_codes_used = sorted({*clerk.recovery_codes_used, *(row.recovery_codes_used or ())})


def _limit_clerks_again(
    tx: Transaction, present: Sequence[Any], lost_passkey: Collection[int], have_passkey: Collection[int]
) -> tuple[int, set[Clerk]]:
    """Return how many clerks lost access or the right to manage again, and those who need a new first link.

    `lost_passkey`: ids in the backup of those who had a passkey that is gone; `have_passkey`: present ids.
    """
    limited, need_link = 0, set()
    for row in present:
        if clerk := clerks.find(tx.session, row.email_canonical):
            limited += _limit_clerk_again(tx, row, clerk)
            _forget_factor(tx, row, clerk, clerk.id in lost_passkey or row.id in have_passkey)
            if row.password_set_at and not (clerk.password_hash or clerk.locked_at):
                need_link.add(clerk)
    return limited, need_link


def _limit_clerk_again(tx: Transaction, row: Any, clerk: Clerk) -> bool:
    """Take from a clerk what was lost since the backup: all access, or the right to manage."""
    if clerk.left_at:
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
