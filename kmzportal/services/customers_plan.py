"""What an import would do: the rows of the file beside the customers there are.

Three values make a field: the file's, ours, and the one last imported. Where only the file changed, its value is
taken; where only we did, ours stays; where both did, ours stays too and the row is reported as Konflikt.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Row as Stored
from sqlalchemy import select
from sqlalchemy.orm import Session

from kmzportal.models.customer import Customer
from kmzportal.services.customers_check import Checked, Finding, Row
from kmzportal.services.customers_file import COLUMNS

STORED = select(
    *(Customer.id, Customer.version, Customer.email_canonical, Customer.pending_email, Customer.imported),
    *(getattr(Customer, name) for name in COLUMNS),
).execution_options(yield_per=1000)


class Merge(NamedTuple):
    row: Row
    stored: Stored[Any]
    taken: dict[str, str]  #: fields that change here
    conflicts: list[str]
    imported: dict[str, str]  #: what counts as last imported from now on

    @property
    def moves(self) -> bool:
        return "email" in self.taken and self.row.canonical != self.stored.email_canonical


@dataclass
class Plan:
    """What an import would do; nothing is done yet."""

    refused: list[Finding]
    new: list[Row] = field(default_factory=list)
    known: list[Merge] = field(default_factory=list)

    @property
    def changed(self) -> list[Merge]:
        return [merge for merge in self.known if merge.taken]

    @property
    def touched(self) -> list[Merge]:
        """Also rows in which the file has caught up with us: from now on they count as imported."""
        return [merge for merge in self.known if merge.imported != merge.stored.imported]

    def report(self) -> dict[str, list[Finding]]:
        """Return what there is to say of each row, by kind. A changed row may be a Konflikt in another field."""
        unchanged = [merge.row for merge in self.known if not merge.taken and not merge.conflicts]
        conflicts = [merge for merge in self.known if merge.conflicts]
        return {
            "Unverändert": [Finding(row.line, row.number) for row in unchanged],
            "Neu": [Finding(row.line, row.number) for row in self.new],
            "Geändert": [
                Finding(row.line, row.number, ", ".join(COLUMNS[name] for name in taken))
                for row, _, taken, _, _ in self.changed
            ],
            "Konflikt": [Finding(one.row.line, one.row.number, "; ".join(one.conflicts)) for one in conflicts],
            "Abgelehnt": sorted(self.refused),
        }


def compare(session: Session, checked: Checked) -> Plan:
    """Set the rows beside the customers there are, all read by one query."""
    plan = Plan(refused=list(checked.refused))
    rows = {row.number: row for row in checked.rows}
    owners = {}
    for stored in session.execute(STORED):
        owners[stored.email_canonical] = stored.number
        if row := rows.pop(stored.number, None):
            plan.known.append(_merge(row, stored))
    plan.known.sort(key=lambda merge: merge.row.line)
    plan.new.extend(rows.values())
    _refuse_taken_addresses(plan, owners)
    return plan


def _merge(row: Row, stored: Stored[Any]) -> Merge:
    merge = Merge(row, stored, {}, [], dict(stored.imported))
    for name, theirs in row.values.items():
        ours, base = getattr(stored, name), merge.imported.get(name, "")
        waiting = stored.pending_email if name == "email" else None
        if theirs not in (ours, base, waiting):
            if ours == base and not waiting:
                merge.taken[name] = theirs
            else:
                merge.conflicts.append(f"{COLUMNS[name]}: hier „{waiting or ours}“, in der Datei „{theirs}“")
        if theirs == merge.taken.get(name, ours):
            merge.imported[name] = theirs
    return merge


def _refuse_taken_addresses(plan: Plan, owners: dict[str, str]) -> None:
    """An address may pass from one customer to another in the same file, but never belong to two."""
    movers = [merge for merge in plan.known if merge.moves]
    for merge in movers:
        del owners[merge.stored.email_canonical]
    for row in (*plan.new, *(merge.row for merge in movers)):
        if owner := owners.get(row.canonical):
            reason = f"E-Mail gehört schon zu Kundennummer {owner}"
            plan.refused.append(Finding(row.line, row.number, reason))
