"""Fingerprints of the keys in the database, so that no host and no restored portal runs with other keys unnoticed.

With another LINK_KEY no link works, with another FACTOR_KEY no second factor, with another SECRET_KEY no form that was
opened on another host, with another AUDIT_KEY the audit trail seems changed. A key whose former value is among its
FALLBACKS is a rotation, and the new one is taken.
"""

import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from kmzportal.models import AccountLink, Clerk, KeyFingerprint
from kmzportal.services import audit_chain, links
from kmzportal.services.refusals import OperationRefused
from kmzportal.services.tokens import LinkKeys
from kmzportal.services.transaction import Transaction, upsert
from kmzportal.settings import KEYS

OTHER_KEYS = (
    "Die Datenbank wurde zuletzt mit anderen Schlüsseln benutzt ({names}): Kopieren Sie {files} vom anderen Rechner "
    "hierher, oder spielen Sie die Sicherung samt Schlüsseln ein (kmzportal restore DATEI --keys SCHLÜSSELDATEI); "
    "sind die alten verloren, nimmt „kmzportal keys accept“ die neuen an."
)

Settings = Mapping[str, Any]


def fingerprint(name: str, key: str) -> str:
    """Return 64 bits of an HMAC under the key, from which nothing about the key can be derived."""
    return hmac.digest(key.encode(), f"key-fingerprint:{name}".encode(), "sha256").hex()[:16]


def differing(session: Session, settings: Settings) -> list[str]:
    """Return the names of the keys that differ from those that the database was last used with."""
    stored = {row.name: row.fingerprint for row in session.scalars(select(KeyFingerprint))}
    if not stored and not _makes_newest_link(session, settings):  # a database of before the fingerprints
        return ["LINK_KEY", "FACTOR_KEY"]
    return [name for name in stored if stored[name] not in {fingerprint(name, key) for key in _all(name, settings)}]


def _makes_newest_link(session: Session, settings: Settings) -> bool:
    newest = session.scalars(select(AccountLink).order_by(AccountLink.issued_at.desc()).limit(1)).first()
    try:
        return newest is None or bool(LinkKeys(_all("LINK_KEY", settings)).token(newest))
    except LookupError:
        return False


def _all(name: str, settings: Settings) -> list[str]:
    return [settings[name], *settings[f"{name}_FALLBACKS"]]


def check(session: Session, settings: Settings) -> None:
    """Raise OperationRefused when a key differs."""
    if names := differing(session, settings):
        files = " und ".join(f"instance/{name.lower()}" for name in names)
        raise OperationRefused(OTHER_KEYS.format(names=", ".join(names), files=files))


def take(tx: Transaction) -> Sequence[Clerk]:
    """Store the fingerprints of the present keys; return the clerks whose second factor is lost with a FACTOR_KEY.

    What was chained under a lost AUDIT_KEY can no longer be verified.
    """
    names = differing(tx.session, tx.settings)
    lost = "FACTOR_KEY" in names
    if "LINK_KEY" in names:  # also where one was opened before: it may have been made with a stolen key
        links.end_all(tx, "Der Link endete mit dem Schlüssel, aus dem er entstand.")
    if "AUDIT_KEY" in names:
        audit_chain.begin_anew(tx.session, tx.settings)
    for name in KEYS:
        value = {"fingerprint": fingerprint(name, tx.settings[name])}
        upsert(tx.session, KeyFingerprint, {"name": name, **value}, value)
    having_one = select(Clerk).where(Clerk.factor_nonce.is_not(None), Clerk.locked_at.is_(None)).order_by(Clerk.name)
    return tx.session.scalars(having_one).all() if lost else []
