"""Import of the office's customers: all rows or none, never a password.

A field has three values: the one in the file, the one stored, and the one last imported (`Customer.imported`). Where
only the file changed, its value is taken; where only the stored value changed, it stays; where both did, it stays too
and the row is reported as Konflikt. Where the file follows what was entered here, `imported` says so: such a value is
no evidence of who a person is.

SQLite lets one transaction write at a time, and a login waits for it. So `compare` and `prepare` do all the work that
needs no lock, and `write` fills a temporary table before its few bulk statements. They fail where a row was saved
since.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Integer,
    MetaData,
    String,
    Table,
    cast,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from kmzportal import mail_address
from kmzportal.models import (
    ENDS_WITH_ADDRESS,
    AccountLink,
    AuditEvent,
    Customer,
    LinkState,
    Throttle,
    fold,
    search_text,
)
from kmzportal.services.customer_file import COLUMNS, Row
from kmzportal.services.refusals import ChangedMeanwhile
from kmzportal.services.transaction import Transaction

KEYS_AT_ONCE = 10_000  # SQLite takes 32,766 parameters
ENTERED_HERE = "_entered_here"  #: after the name of a field in `Customer.imported`
#: The columns that an import reads and writes, as those of a new customer are before it.
NEW: dict[str, Any] = dict.fromkeys(("number", "number_canonical", *COLUMNS), "")
NEW |= {"email_canonical": "", "pending_email": None, "imported": {}}
STORED = select(*(getattr(Customer, name) for name in ("id", "version", "locked_at", *NEW))).execution_options(
    yield_per=1000
)
#: A row for each customer to be written; `id` is empty for a new one, `action` where no field changes.
STAGED = Table(
    "import_customer",
    MetaData(),
    *(Column(name, Customer.__table__.c[name].type) for name in (*NEW, "search", "version")),
    Column("id", Integer, index=True),
    Column("moves", Boolean),
    Column("action", String),
    Column("details", JSON),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DROP",
)


OTHER_PERSON = (
    "Das scheint ein anderer Mensch zu sein. Ist die Nummer neu vergeben? Dann löschen Sie hier das bisherige Konto "
    "und legen das neue unter „Konto anlegen“ an. Sonst berichtigen Sie hier den Namen."
)
PERSON = ("first_name", "last_name", "email")  #: where two are new, it is another person
TO_FREE_MAIL = "Die neue E-Mail kann jeder anlegen, und die bisherige erfährt nichts. Wurde die Person geprüft?"
SAME_FIRST_NAME = "Nachname und E-Mail sind neu. Ist es noch derselbe Mensch? Sonst löschen Sie hier das Konto."
#: SQLite: the table of an earlier import goes (without `temp` this would read the database), and changed pages stay in
#: memory until the commit (kB). PostgreSQL: words for the search are sorted into their index after the commit (kB).
TUNING = {
    "sqlite": ("DROP TABLE IF EXISTS temp.import_customer", "PRAGMA cache_size = -64000"),
    "postgresql": ("SET LOCAL gin_pending_list_limit = 1000000",),
}


def compare(session: Session, rows: Sequence[Row]) -> None:
    """Set what importing each checked row would change, and the `fault` of rows whose address is taken."""
    sound = {row.number_canonical: row for row in rows if not row.fault}
    owners = {}
    for stored in session.execute(STORED).mappings():
        owners[stored["email_canonical"]] = stored["number"]
        if row := sound.get(stored["number_canonical"]):
            row.stored = stored
    for row in sound.values():
        _merge(row)
    # An address may pass from one customer to another within the file, but never belong to two.
    moving = {row.stored["number"] for row in sound.values() if row.moves}
    for row in sound.values():
        owner = owners.get(row.email_canonical)
        if owner and owner not in moving and (row.moves or not row.stored):
            row.fault = f"E-Mail gehört schon zu Kundennummer {owner}"


def _merge(row: Row) -> None:
    stored = row.stored or NEW
    row.imported = dict(stored["imported"])
    new = {name for name in PERSON if row.stored and _contradicts(row, name)}
    same_first_name = "first_name" not in new and stored["first_name"] and row.values.get("first_name")
    if len(new) > 1 and not same_first_name:
        row.conflicts.append(OTHER_PERSON)  # otherwise the former holder would read the data of the new one
        return
    if len(new) > 1:
        row.warning = row.warning or SAME_FIRST_NAME
    _merge_fields(row, stored)
    row.moves = bool(row.stored) and "email" in row.taken and row.email_canonical != stored["email_canonical"]
    if row.moves and mail_address.is_free_mail(row.email_canonical):
        row.warning = f"{TO_FREE_MAIL} {row.warning}".strip()


def _contradicts(row: Row, name: str) -> bool:
    """Return whether the file has another value than is stored, which it had not the last time either."""
    same = mail_address.canonical if name == "email" else fold
    known = {same(value) for value in (row.stored[name], row.stored["imported"].get(name, "")) if value}
    theirs = row.values.get(name, "")
    return bool(known and theirs) and same(theirs) not in known


def _merge_fields(row: Row, stored: Mapping[str, Any]) -> None:
    for name, theirs in row.values.items():
        ours, base = stored[name], row.imported.get(name, "")
        pending = stored["pending_email"] if name == "email" else None
        # The address of a locked account is moved by the desk, which checks the person.
        kept = name == "email" and (pending or stored.get("locked_at"))
        if theirs != ours == base and not kept:
            row.taken[name] = theirs
        elif theirs not in (ours, base, pending):
            row.conflicts.append(f"{COLUMNS[name]}: hier „{pending or ours}“, in der Datei „{theirs}“")
        if theirs == row.taken.get(name, ours):
            _keep_as_imported(row, name, theirs)


def _keep_as_imported(row: Row, name: str, theirs: str) -> None:
    if name in row.taken:
        row.imported.pop(f"{name}{ENTERED_HERE}", None)
    elif theirs != row.imported.get(name, ""):
        row.imported[f"{name}{ENTERED_HERE}"] = "1"
    row.imported[name] = theirs


def missing(session: Session, rows: Iterable[Row]) -> list[Any]:
    """Return id, number and names of the customers whose number is in no row."""
    columns = (Customer.id, Customer.number, Customer.number_canonical, Customer.first_name, Customer.last_name)
    named = {number for row in rows for number in (row.number, row.number_canonical)}
    stored = session.execute(select(*columns).order_by(Customer.number))
    return [customer for customer in stored if named.isdisjoint((customer.number, customer.number_canonical))]


def report(rows: Sequence[Row]) -> dict[str, list[tuple[Row, str]]]:
    """Return the compared rows by kind, each with its remark; a changed row may have a Konflikt in another field."""
    known = [row for row in rows if row.stored and not row.fault]
    return {
        "Unverändert": [(row, "") for row in known if not row.taken and not row.conflicts],
        "Neu": [(row, "") for row in rows if not row.stored and not row.fault],
        "Geändert": [(row, _changes(row)) for row in known if row.taken],
        "Konflikt": [(row, "; ".join(row.conflicts)) for row in known if row.conflicts],
        "Achtung": sorted(
            ((row, row.warning) for row in rows if row.warning and not row.fault),
            key=lambda one: not one[1].startswith(TO_FREE_MAIL),  # lost zeros of postcodes may be hundreds
        ),
        "Abgelehnt": [(row, row.fault) for row in rows if row.fault],
    }


def _changes(row: Row) -> str:
    return "; ".join(f"{COLUMNS[name]}: „{row.stored[name]}“ → „{new}“" for name, new in row.taken.items())


def prepare(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the rows of STAGED for what importing the compared rows, all without fault, will write."""
    return [_staged(row) for row in rows if not row.stored or row.imported != row.stored["imported"]]


def _staged(row: Row) -> dict[str, Any]:
    columns = {name: (row.stored or NEW)[name] for name in NEW}
    columns |= row.taken | {"imported": row.imported}
    if not row.stored:
        columns |= {"number": row.number, "number_canonical": row.number_canonical}
    if "email" in row.taken:
        columns["email_canonical"] = row.email_canonical
    columns["search"] = search_text(SimpleNamespace(**columns))
    if not row.stored:
        return columns | {"id": None, "version": 1, "moves": False, "action": "customer.imported", "details": {}}
    columns |= {"id": row.stored["id"], "version": row.stored["version"], "moves": row.moves}
    return columns | {"action": "data.imported" if row.taken else None, "details": {"fields": list(row.taken)}}


def write(tx: Transaction, staged: Sequence[dict[str, Any]]) -> None:
    """Write the customers and their events; raises ChangedMeanwhile when another save came between.

    The transaction must not have read before: SQLite takes its write lock only after the temporary table is filled.
    """
    if not staged:
        return
    connection = tx.session.connection()
    for statement in TUNING[connection.dialect.name]:
        connection.exec_driver_sql(statement)
    STAGED.create(connection, checkfirst=False)
    connection.execute(insert(STAGED), staged)
    new, changed = STAGED.c.id.is_(None), STAGED.c.id == Customer.id
    copied = {name: STAGED.c[name] for name in (*NEW, "search")}
    event = {"action": STAGED.c.action, "details": STAGED.c.details, "at": literal(tx.now), "actor": literal(tx.actor)}
    try:
        _free_addresses(tx)
        added = select(*copied.values(), STAGED.c.version, literal(tx.now)).where(new)
        connection.execute(insert(Customer).from_select([*copied, "version", "created_at"], added))
        same = STAGED.c.number_canonical == Customer.number_canonical
        events = select(Customer.id, *event.values()).join(STAGED, same).where(STAGED.c.action.is_not(None))
        connection.execute(insert(AuditEvent).from_select(["customer_id", *event], events))
        # Last, because a login waits for a changed customer until the commit.
        # Without columns that stay the same, because each has an index that would be written.
        columns = {name: copied[name] for name in (*Customer.DATA_FIELDS, "email", "imported", "search")}
        known = update(Customer).where(changed, Customer.version == STAGED.c.version)
        updated = connection.execute(known.values(columns | {"version": Customer.version + 1}))
        if updated.rowcount != sum(row["id"] is not None for row in staged):
            raise ChangedMeanwhile
        moved = update(Customer).where(changed, STAGED.c.moves).values(email_canonical=STAGED.c.email_canonical)
        connection.execute(moved)
        _clear_failures(tx, [row["email_canonical"] for row in staged if row["moves"]])
    except IntegrityError:
        raise ChangedMeanwhile from None


def _clear_failures(tx: Transaction, addresses: Sequence[str]) -> None:
    """Forget the failed logins that were counted for these addresses while they were unknown, as a move does."""
    keys = [tx.keys.fingerprint(Customer.THROTTLE_PREFIX + address) for address in addresses]
    for at in range(0, len(keys), KEYS_AT_ONCE):
        tx.session.execute(delete(Throttle).where(Throttle.account.in_(keys[at : at + KEYS_AT_ONCE])))


def _free_addresses(tx: Transaction) -> None:
    """Give up the addresses that change, so that other rows may take them, and end the open links sent to them."""
    moving = select(STAGED.c.id).where(STAGED.c.moves)
    parked = literal("import:") + cast(Customer.id, String)
    customers = update(Customer).where(Customer.id.in_(moving)).values(email_canonical=parked)
    links = update(AccountLink).where(AccountLink.customer_id.in_(moving), AccountLink.kind.in_(ENDS_WITH_ADDRESS))
    # Replaced ones too, or their holder could renew them.
    links = links.where(or_(AccountLink.ended_at.is_(None), AccountLink.ended_as == LinkState.REPLACED))
    ended = {"ended_at": func.coalesce(AccountLink.ended_at, tx.now), "ended_as": LinkState.WITHDRAWN}
    for statement in (customers, links.values(ended)):
        tx.session.connection().execute(statement)
