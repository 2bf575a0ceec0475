"""Visits: the use of an opened link in one browser. The cookie holds a random token, the row decides."""

import secrets
from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import and_, bindparam, delete, or_, select, update
from sqlalchemy.orm import Session, contains_eager

from kmzportal.models import SETS_PASSWORD, AccountLink, Clerk, Customer, LinkVisit
from kmzportal.services.tokens import token_hash
from kmzportal.services.transaction import Transaction

VISITS_PER_LINK = 20  # scanners open each link, some of them often

#: Executed by every page of a link, so the statement is built only once. Reads visit, link and its holder together.
_BY_TOKENS = (
    select(LinkVisit)
    .join(LinkVisit.link)
    .outerjoin(AccountLink.customer)
    .outerjoin(AccountLink.clerk)
    .options(
        contains_eager(LinkVisit.link).options(contains_eager(AccountLink.customer), contains_eager(AccountLink.clerk))
    )
    .where(LinkVisit.token_hash.in_(bindparam("hashes", expanding=True)), LinkVisit.link_id == bindparam("link_id"))
    .order_by(LinkVisit.id.desc())
    .limit(1)
)


def start(
    tx: Transaction,
    link: AccountLink,
    earlier: LinkVisit | None = None,
    checked: bool = False,
    redeemed: bool = False,
) -> str:
    """Insert a visit and return its token; of a link the newest VISITS_PER_LINK stay.

    What was reached in an `earlier` visit, which ends, counts on; `checked`: without a robot check;
    `redeemed`: this browser has just used the link.
    """
    tx.session.scalar(select(AccountLink.id).where(AccountLink.id == link.id).with_for_update(key_share=True))
    token = secrets.token_urlsafe(32)
    visit = LinkVisit(
        token_hash=token_hash(token),
        link_id=link.id,
        started_at=tx.now,
        last_seen=tx.now,
        idle_after=tx.settings["LINK_SESSION_IDLE"],
        expires_at=tx.now + timedelta(seconds=tx.settings["LINK_SESSION_LIFETIME"]),
        checked=checked or bool(earlier and earlier.checked),
        redeemed=redeemed,
        wrong_puzzles=earlier.wrong_puzzles if earlier else 0,
        # Drawn for each browser: a mail scanner that opened the link before must not know the secret.
        factor_nonce=(earlier and earlier.factor_nonce) or (secrets.token_urlsafe(32) if link.clerk_id else None),
    )
    if earlier:
        earlier.ended_at = tx.now
    tx.session.add(visit)
    tx.session.flush()
    mine = select(LinkVisit.id).where(LinkVisit.link_id == link.id).order_by(LinkVisit.id.desc())
    too_old = mine.offset(VISITS_PER_LINK).limit(1).scalar_subquery()
    tx.session.execute(delete(LinkVisit).where(LinkVisit.link_id == link.id, LinkVisit.id <= too_old))
    return token


def restart(tx: Transaction, visit: LinkVisit, checked: bool = False) -> None:
    """Start the time of a visit anew, because its link was opened again; what was reached counts on."""
    visit.started_at = visit.last_seen = tx.now
    visit.expires_at = tx.now + timedelta(seconds=tx.settings["LINK_SESSION_LIFETIME"])
    visit.checked = visit.checked or checked


def find(session: Session, tokens: Iterable[object], link_id: int) -> LinkVisit | None:
    """Return the newest visit of these tokens to this link, ended or not, with link and holder."""
    return session.scalar(_BY_TOKENS, {"hashes": [token_hash(token) for token in tokens], "link_id": link_id})


def end(tx: Transaction, tokens: Iterable[object], login: Customer | Clerk | None = None) -> None:
    """End the visits of these tokens; at a login only those to links that ended, or that set this person's password.

    With both in one cookie, whoever copied that of a session could set a new password without the present one.
    """
    hashes = [token_hash(token) for token in tokens]
    alive = update(LinkVisit).where(LinkVisit.token_hash.in_(hashes), LinkVisit.ended_at.is_(None))
    if login:
        owner = AccountLink.clerk_id if isinstance(login, Clerk) else AccountLink.customer_id
        hers = and_(owner == login.id, AccountLink.kind.in_(SETS_PASSWORD))
        over = select(AccountLink.id).where(or_(AccountLink.ended_at.is_not(None), hers))
        alive = alive.where(LinkVisit.link_id.in_(over))
    tx.session.execute(alive.values(ended_at=tx.now))
