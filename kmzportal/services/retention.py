"""Retention periods, and the register of what is stored about people (GDPR 30)."""

import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import and_, delete, exists, or_, select, update
from sqlalchemy.orm import aliased

from kmzportal.dates import format_duration
from kmzportal.models import (
    AccountLink,
    AddressProposal,
    AuditEvent,
    CaseEntry,
    CaseState,
    ClerkDay,
    CustomerAccess,
    KeptEntry,
    KnownDevice,
    KnownSource,
    LinkVisit,
    LoginSession,
    OutgoingMail,
    ReceivedMail,
    RecoveryRequest,
    RequestCount,
    SourceFailure,
    SupportCase,
    Throttle,
    UsedPuzzle,
)
from kmzportal.services import audit_chain
from kmzportal.services.alarms import report_broken_chain
from kmzportal.services.devices import KEPT as DEVICES_KEPT
from kmzportal.services.kept_entries import KEPT
from kmzportal.services.links import FREE_WITH_CODE
from kmzportal.services.sessions import KNOWN_SOURCES_KEPT, OF_LETTERS, OF_PASSKEYS, SOURCE_WINDOW
from kmzportal.services.transaction import Transaction

REQUESTS_KEPT = timedelta(days=7)
SESSIONS_KEPT = timedelta(days=7)
THROTTLES_KEPT = timedelta(days=30)
LETTERS_KEPT = timedelta(days=1)  # anyone can cause two rows with each made-up code; so few failures cause no wait
LINKS_KEPT = timedelta(days=90)
MAILS_KEPT = timedelta(days=90)
REGISTER = Path(__file__).parent.parent / "templates" / "legal" / "personal_data.toml"
#: Placeholders in the register, besides the settings.
TIMES = {
    "sessions_kept": format_duration(SESSIONS_KEPT),
    "devices_kept": format_duration(DEVICES_KEPT),
    "links_kept": format_duration(LINKS_KEPT),
    "mails_kept": format_duration(MAILS_KEPT),
    "kept": format_duration(2 * KEPT),  # the worker purges every hour
    "requests_kept": format_duration(REQUESTS_KEPT),
    "throttles_kept": format_duration(THROTTLES_KEPT),
    "known_sources_kept": format_duration(KNOWN_SOURCES_KEPT),
}


def purge(tx: Transaction) -> int:
    """Delete old rows and old source addresses; return how many rows were deleted or changed."""
    sources = tx.now - timedelta(days=tx.settings["SOURCE_RETENTION"])
    audit = tx.now - timedelta(days=tx.settings["AUDIT_RETENTION"])
    sessions, links = tx.now - SESSIONS_KEPT, tx.now - LINKS_KEPT
    # After the mails that refer to them, and the doubles that were merged into them.
    double = aliased(SupportCase)
    old_case = (
        SupportCase.state == CaseState.CLOSED,
        SupportCase.state_since < tx.now - timedelta(days=tx.settings["CASES_RETENTION"]),
        ~exists().where(OutgoingMail.case_id == SupportCase.id),
        ~exists().where(double.merged_into_id == SupportCase.id),
    )
    statements = [
        delete(SourceFailure).where(SourceFailure.failed_at < tx.now - SOURCE_WINDOW),
        update(AuditEvent).where(AuditEvent.at < sources, AuditEvent.source.is_not(None)).values(source=None),
        update(RecoveryRequest)
        .where(RecoveryRequest.requested_at < sources, RecoveryRequest.source.is_not(None))
        .values(source=None),
        delete(KeptEntry).where(KeptEntry.kept_until < tx.now),
        delete(LinkVisit).where(LinkVisit.expires_at < tx.now - KEPT),
        delete(UsedPuzzle).where(UsedPuzzle.expires_at < tx.now),
        delete(RecoveryRequest).where(RecoveryRequest.requested_at < tx.now - REQUESTS_KEPT),
        # A disabled password stays disabled until it is set.
        delete(Throttle).where(
            Throttle.failures < tx.settings["THROTTLE_DISABLED_AT"], Throttle.failed_at < tx.now - THROTTLES_KEPT
        ),
        delete(Throttle).where(
            # Many outlive the letter, or its Kundennummer could be guessed.
            or_(Throttle.account.startswith(OF_LETTERS), Throttle.account.startswith(OF_PASSKEYS)),
            Throttle.failed_at < tx.now - LETTERS_KEPT,
            or_(Throttle.failures <= FREE_WITH_CODE, Throttle.failed_at < tx.now - THROTTLES_KEPT),
        ),
        delete(LoginSession).where(or_(LoginSession.ended_at < sessions, LoginSession.expires_at < sessions)),
        delete(KnownDevice).where(KnownDevice.last_used < tx.now - DEVICES_KEPT),
        delete(CustomerAccess).where(CustomerAccess.day < audit.date()),
        delete(ClerkDay).where(ClerkDay.day < audit.date()),
        delete(AddressProposal).where(AddressProposal.proposed_at < tx.now - REQUESTS_KEPT),
        delete(OutgoingMail).where(OutgoingMail.settled_at < tx.now - MAILS_KEPT),
        delete(OutgoingMail).where(OutgoingMail.template == "account_deleted", OutgoingMail.settled_at.is_not(None)),
        delete(RequestCount).where(RequestCount.hour < sources),
        delete(KnownSource).where(KnownSource.logged_in_at < tx.now - KNOWN_SOURCES_KEPT),
        delete(CaseEntry).where(CaseEntry.case_id.in_(select(SupportCase.id).where(*old_case))),
        delete(SupportCase).where(*old_case),
        delete(ReceivedMail).where(
            ReceivedMail.received_at < tx.now - MAILS_KEPT,
            ~exists().where(CaseEntry.message_id == ReceivedMail.message_id),
        ),
        delete(AccountLink).where(  # after the mails that refer to them
            or_(AccountLink.ended_at < links, and_(AccountLink.ended_at.is_(None), AccountLink.expires_at < links)),
            ~exists().where(OutgoingMail.link_id == AccountLink.id),
        ),
    ]
    rows, fault = audit_chain.purge(tx.session, tx.settings, before=audit, now=tx.now)
    if fault:
        report_broken_chain(tx, fault)
    for statement in statements:
        result: Any = tx.session.execute(statement, execution_options={"synchronize_session": False})
        rows += int(result.rowcount)
    return rows


def register() -> dict[str, Any]:
    """Return `entry`, a list of what is stored and why, and `technical`, columns without personal data by table."""
    return tomllib.loads(REGISTER.read_text("utf-8"))


def register_text() -> str:
    """Return the register in Markdown. The page names the general legal basis once, so only others are repeated."""
    entries = []
    for entry in register()["entry"]:
        facts = {"Was": entry["what"], "Wozu": entry["purpose"]}
        facts |= {"Rechtsgrundlage": entry["basis"]} if "basis" in entry else {}
        lines = [f"- **{word}:** {fact}" for word, fact in (facts | {"Wie lange": entry["retention"]}).items()]
        entries.append(f"### {entry['heading']}\n\n" + "\n".join(lines))
    return "\n\n".join(entries)
