"""Previews of all mails, with fictional people, for the desk, the demo and tests."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from kmzportal.mail.compose import Email, compose
from kmzportal.models import (
    NEUTRAL_GREETING,
    POLICIES,
    AccountLink,
    Clerk,
    Customer,
    LinkKind,
    OutgoingMail,
    SupportCase,
)
from kmzportal.services.tokens import LinkKeys
from kmzportal.settings import BY_NAME

ASKED = datetime(2026, 11, 22, 13, 5, tzinfo=UTC)
KEYS = LinkKeys(["key of previews, without access to any account"])
FACTS = {
    "initials": "km",
    "changed": "factor",
    "act": "added",
    "passkey": "Chrome unter Windows",
    "passkeys": ["Chrome unter Windows"],
    "ended_passkeys": ["iPhone"],
    "text": "An welcher Schule sind Sie?",
    "number": 240,
    "sources": 12,
    "suppressed": 3,
    "what": "E-Mail-Adressen geändert",
    "why": "Der Eintrag 4711 vom 22.11.2026, 14:05 Uhr, wurde verändert.",
}

#: Each template with its kind of link, if any.
MAILS = {
    "recovery_link": LinkKind.RECOVERY,
    "desk_link": LinkKind.DESK,
    "address_link": LinkKind.ADDRESS,
    "clerk_first_link": LinkKind.CLERK_FIRST,
    "address_change_asked": LinkKind.OBJECTION,
    "address_corrected": LinkKind.OBJECTION,
    "address_changed_old": LinkKind.OBJECTION,
    "letter_printed": LinkKind.OBJECTION,
    "address_changed_new": None,
    "address_taken_away": None,
    "address_taken": None,
    "password_set": None,
    "password_changed": None,
    "password_disabled": None,
    "passkeys_changed": None,
    "clerk_added": None,
    "clerk_limited": None,
    "clerk_password_set": None,
    "clerk_access_changed": None,
    "clerk_password_disabled": None,
    "clerk_password_known": None,
    "clerk_codes_guessed": None,
    "alarm_spraying": None,
    "alarm_link_guesses": None,
    "alarm_desk_volume": None,
    "alarm_recovery_flood": None,
    "alarm_chain_broken": None,
    "account_locked": None,
    "sessions_ended": None,
    "deletion_requested": None,
    "account_deleted": None,
    "case_receipt": None,
    "case_code": None,
    "case_question": None,
    "test": None,
}


def previews(settings: Mapping[str, Any]) -> dict[str, Email]:
    """Return one mail for each template, by name."""
    return {template: compose(sample(template), KEYS, settings, ASKED) for template in MAILS}


class RedactedKeys(LinkKeys):
    """Replaces link and code by dots, for previews shown to clerks (OWASP ASVS 6.4.6)."""

    def token(self, link: AccountLink) -> str:
        return "••••••••"

    def code(self, link: AccountLink) -> str:
        return "••••-••••"


def redacted_preview(
    template: str, customer: Customer, initials: str, settings: Mapping[str, Any], now: datetime, confirmed: bool = True
) -> Email:
    """Return the mail that would be sent now to the stored address or an unconfirmed one, without its link and code."""
    kind = MAILS[template]
    facts = {} if confirmed else {"greeting": NEUTRAL_GREETING}
    mail = sample(template, customer=customer, recipient=customer.email, queued_at=now, facts=facts)
    if mail.link and kind:
        mail.link.issued_at, mail.link.expires_at = now, now + timedelta(seconds=settings[POLICIES[kind].lifetime])
        mail.link.initials = initials if kind is LinkKind.DESK else None
    return compose(mail, RedactedKeys(["unused"]), settings, now)


def sample(template: str, **different: Any) -> OutgoingMail:
    """Return a mail to Erika Mustermann that is not in the database."""
    erika = Customer(salutation="Frau", first_name="Erika", last_name="Mustermann", email="erika@schule.example")
    clerk = Clerk(name="Robin Ostermann", initials="ro", email="ro@kmz.example")
    kind = MAILS[template]
    for_clerk, to_nobody = template.startswith(("clerk_", "alarm_")), template.startswith(("case_", "account_deleted"))
    case = SupportCase(reference="V-7KQM-3PAX", promised_on=ASKED.date() + timedelta(days=3))
    return OutgoingMail(
        **{
            "template": template,
            "recipient": clerk.email if for_clerk else erika.email,
            "customer": None if for_clerk or to_nobody else erika,
            "clerk": clerk if for_clerk else None,
            "link": _link(kind) if kind else None,
            "case": case if template.startswith(("case_", "deletion_")) else None,
            "facts": FACTS,
            "message_id": f"<{template}@preview.example>",
            "queued_at": ASKED,
            **different,
        }
    )


def _link(kind: LinkKind) -> AccountLink:
    nonce, hashed = KEYS.nonce_and_hash()
    return AccountLink(
        kind=kind,
        nonce=nonce,
        token_hash=hashed,
        initials="ro" if kind is LinkKind.DESK else None,
        issued_at=ASKED,
        expires_at=ASKED + timedelta(seconds=BY_NAME[POLICIES[kind].lifetime].default),
        renewals=0,
    )
