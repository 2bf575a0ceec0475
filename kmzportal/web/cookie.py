"""What the signed cookie holds besides Flask's own: random tokens, whose rows decide (docs/decisions/0056).

Whoever knows SECRET_KEY can sign any cookie, so nothing in it gives a right, and nothing in it names a person.
"""

from datetime import UTC, datetime
from typing import Any

from flask import session

from kmzportal import mail_address
from kmzportal.db import db
from kmzportal.models import AccountLink, Clerk, Customer, LinkVisit
from kmzportal.services import kept_entries, visits
from kmzportal.services.tokens import token_hash
from kmzportal.services.transaction import Transaction

VISITS = "visits"
SAVED_FORM, ADDRESS, REQUEST, CASE = KEPT = ("saved_form", "typed_address", "recovery_request", "case_sent")
_MAX_VISITS = 5  # links in a cookie
_MAX_ID = 2**63 - 1


def start_visit(
    tx: Transaction,
    link: AccountLink,
    earlier: LinkVisit | None = None,
    checked: bool = False,
    redeemed: bool = False,
) -> None:
    """Start a visit, or anew the one that this browser has, with its token: a slower response may set it again.

    In place of an `earlier` one a visit with a new token starts, in which counts what was reached there.
    """
    before = earlier or find_visit(link.id)
    if earlier is None and before and before.alive(tx.now):
        visits.restart(tx, before, checked)
        return
    others = [token for token in _visits() if before is None or token_hash(token) != before.token_hash]
    session[VISITS] = [*others, visits.start(tx, link, earlier, checked, redeemed)][-_MAX_VISITS:]


def find_visit(link_id: int) -> LinkVisit | None:
    """Return this browser's visit to the link, ended or not."""
    tokens = _visits()
    return visits.find(db.session(), tokens, link_id) if tokens and link_id <= _MAX_ID else None


def holds_rows() -> bool:
    """Return whether the cookie names rows of this browser: visits, or what was typed."""
    return any(name in session for name in (VISITS, *KEPT))


def end_visits(tx: Transaction, login: Customer | Clerk | None = None) -> None:
    """End all visits of this browser, or those that end at this person's login."""
    if tokens := _visits():
        visits.end(tx, tokens, login)


def _visits() -> list[object]:
    tokens = session.get(VISITS)
    return tokens[-_MAX_VISITS:] if isinstance(tokens, list) else []


def keep(tx: Transaction, name: str, content: dict[str, Any], **belongs_to: Any) -> None:
    """Keep what was typed for this browser under one of the names of KEPT; see `kept_entries.keep`."""
    session[name] = kept_entries.keep(tx, content, **belongs_to)


def keep_address(tx: Transaction, address: str) -> None:
    """Keep an address to fill in the next form."""
    _keep_address(tx, ADDRESS, {"address": address})


def keep_request(tx: Transaction, address: str, reference: str) -> None:
    """Keep what the page after Passwort vergessen shows; its address fills in the next form too."""
    _keep_address(tx, REQUEST, {"address": address, "at": int(tx.now.timestamp()), "reference": reference})
    session[ADDRESS] = session[REQUEST]


def _keep_address(tx: Transaction, name: str, content: dict[str, Any]) -> None:
    email, lifetime = mail_address.canonical(content["address"]), kept_entries.ADDRESS_KEPT
    keep(tx, name, content, email=email, lifetime=lifetime)


def kept(name: str, actor: str | None = None) -> dict[str, Any]:
    """Return what was kept for this actor, or without a login; empty if there is nothing."""
    now = datetime.now(UTC)
    return (kept_entries.find(db.session(), session[name], now, actor) if name in session else None) or {}


def forget(tx: Transaction, *names: str) -> None:
    """Delete what was kept under these names."""
    if tokens := [session.pop(name) for name in names if name in session]:
        kept_entries.forget(tx, tokens)
