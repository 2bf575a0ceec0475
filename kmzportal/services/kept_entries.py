"""What was typed, kept for a while for later pages of the same browser."""

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from kmzportal.models import AccountLink, KeptEntry
from kmzportal.services.tokens import token_hash
from kmzportal.services.transaction import Transaction

KEPT = timedelta(hours=1)
ADDRESS_KEPT = timedelta(minutes=30)  # next users of a shared computer would see it
WITHOUT_LOGIN = 10_000  # rows; every anonymous request can make one, so the oldest go


def keep(
    tx: Transaction,
    content: dict[str, Any],
    actor: str | None = None,
    email: str | None = None,
    lifetime: timedelta = KEPT,
) -> str:
    """Store what was typed by an actor, or without a login, and return the token for the cookie.

    An actor has one entry. `email`: the canonical address that was typed, with which the entry is erased.
    """
    token = secrets.token_urlsafe(32)
    if actor:
        tx.session.execute(delete(KeptEntry).where(KeptEntry.actor == actor))
    entry = KeptEntry(
        token_hash=token_hash(token), actor=actor, email_canonical=email, content=content, kept_until=tx.now + lifetime
    )
    tx.session.add(entry)
    tx.session.flush()
    too_old = KeptEntry.id <= entry.id - WITHOUT_LOGIN
    tx.session.execute(delete(KeptEntry).where(too_old, KeptEntry.actor.is_(None)))
    return token


def find(session: Session, token: object, now: datetime, actor: str | None = None) -> dict[str, Any] | None:
    """Return what was kept for this actor, or without a login."""
    mine = KeptEntry.token_hash == token_hash(token), KeptEntry.actor == actor, KeptEntry.kept_until > now
    return session.scalar(select(KeptEntry.content).where(*mine))


def move(tx: Transaction, link: AccountLink, newer: AccountLink) -> None:
    """Move what was typed on the pages of a link to those of the link that replaces it."""
    for entry in tx.session.scalars(select(KeptEntry).where(KeptEntry.actor == f"link:{link.id}")):
        path = entry.content["path"].replace(f"/konto-link/{link.id}/", f"/konto-link/{newer.id}/")
        entry.actor, entry.content = f"link:{newer.id}", entry.content | {"path": path}


def forget(tx: Transaction, tokens: Iterable[object]) -> None:
    hashes = [token_hash(token) for token in tokens]
    tx.session.execute(delete(KeptEntry).where(KeptEntry.token_hash.in_(hashes)))
