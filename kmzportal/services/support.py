"""Written requests (Anfragen) by form or mail: opened with a promised day, answered and closed by the desk."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, joinedload

from kmzportal import mail_address
from kmzportal.dates import BERLIN, add_working_days, working_days_after
from kmzportal.models import (
    CaseEntry,
    CaseState,
    Clerk,
    Customer,
    OutgoingMail,
    RequestCount,
    SupportCase,
    Throttle,
)
from kmzportal.services.refusals import Refusal
from kmzportal.services.tokens import LinkKeys, codes_match, format_code, new_reference, parse_reference
from kmzportal.services.transaction import Transaction, upsert

TO_STRANGERS = ("case_receipt", "case_code")  # templates of mails that anyone can cause
CODE_LIFETIME = timedelta(hours=1)
CODE_TRIES = 5
CASES_SHOWN = 50


class CaseClosed(Refusal):
    """The case is closed already, or merged into another one."""

    message = "Diese Anfrage ist schon abgeschlossen. Öffnen Sie sie wieder, wenn noch etwas zu tun ist."


class SameCase(Refusal):
    """A case cannot be merged into itself, a closed one, or one that does not exist."""

    message = "Unter dieser Vorgangsnummer gibt es keine andere offene Anfrage. Prüfen Sie die Nummer."
    field = "reference"


# Opening


def open_case(
    tx: Transaction,
    branch: str,
    channel: str,
    email: str,
    text: str,
    *,
    proven: bool = False,
    customer: Customer | None = None,
    message_id: str | None = None,
    attachments: Sequence[str] = (),
    **fields: str,
) -> SupportCase:
    """Add a case with its first entry; `fields` are name, school, old_email, new_email and phone, empty if missing.

    `proven`: who wrote reads the mailbox `email`. `customer` only where the account is certain (a logged-in customer).
    """
    case = SupportCase(
        reference=new_reference(),
        branch=branch,
        channel=channel,
        email=email,
        email_canonical=mail_address.canonical(email),
        email_proven=proven,
        received_at=tx.now,
        promised_on=promised_day(tx.now, tx.settings),
        state=CaseState.OPEN,
        state_since=tx.now,
        customer=customer,
        **dict.fromkeys(("name", "school", "old_email", "new_email", "phone"), "") | fields,
    )
    tx.session.add(case)
    _add_entry(tx, case, "received", email, text, message_id, attachments)
    tx.record("case.opened", customer, reference=case.reference)
    return case


def promised_day(received_at: datetime, settings: Mapping[str, Any]) -> date:
    """Return the last day for the answer: so many working days after the calendar day of receipt in Berlin."""
    day = received_at.astimezone(BERLIN).date()
    return add_working_days(day, settings["ANSWER_WITHIN"], settings["CLOSING_DAYS"])


def send_receipt(tx: Transaction, case: SupportCase) -> bool:
    """Mail the Vorgangsnummer and the promised day, nothing of the text; return whether the budget allowed it."""
    return _send_to_stranger(tx, "case_receipt", case.email, case) is not None


def _send_to_stranger(
    tx: Transaction, template: str, email: str, case: SupportCase | None = None
) -> OutgoingMail | None:
    """Queue a mail to an address that anyone may have typed, unless today's budget, of its own, is used up."""
    today = select(func.count()).where(
        OutgoingMail.template.in_(TO_STRANGERS), OutgoingMail.queued_at > tx.now - timedelta(days=1)
    )
    mine = today.where(OutgoingMail.recipient_canonical == mail_address.canonical(email))
    budgets = ((mine, "RECEIPTS_PER_ADDRESS"), (today, "RECEIPTS_PER_DAY"))
    if any((tx.session.scalar(count) or 0) >= tx.settings[setting] for count, setting in budgets):
        tx.record("mail.capped", template=template)
        return None
    return tx.send(template, None, to=email, case=case, always=True)


# The code that proves a mailbox


def send_code(tx: Transaction, email: str) -> str | None:
    """Mail a code and return the Message-ID that it belongs to; None when the budget is used up."""
    mail = _send_to_stranger(tx, "case_code", email)
    return mail.message_id if mail else None


def code_of(keys: LinkKeys, message_id: str) -> str:
    """Return the code of this mail, derived as that of a link: no secret is stored."""
    return format_code(keys.derive("case-code", message_id)[0], groups=2)


def check_code(tx: Transaction, message_id: str, email: str, typed: str) -> bool:
    """Return whether the code was mailed to this address within CODE_LIFETIME. A try counts before it is compared."""
    sent = select(OutgoingMail.id).where(
        OutgoingMail.message_id == message_id,
        OutgoingMail.template == "case_code",
        OutgoingMail.recipient_canonical == mail_address.canonical(email),
        OutgoingMail.queued_at > tx.now - CODE_LIFETIME,
    )
    if tx.session.scalar(sent) is None:
        return False
    key = tx.keys.fingerprint(f"case-code:{message_id}")
    upsert(
        tx.session,
        Throttle,
        {"account": key, "failures": 1, "failed_at": tx.now},
        {"failures": Throttle.failures + 1, "failed_at": tx.now},
    )
    tries = tx.session.scalar(select(Throttle.failures).where(Throttle.account == key)) or 0
    return tries <= CODE_TRIES and codes_match(typed, code_of(tx.keys, message_id))


# Limits


def within_limits(tx: Transaction) -> bool:
    """Count a case by form; return whether its source and all together are below their limits of this hour."""
    hour = tx.now.replace(minute=0, second=0, microsecond=0)
    limits = {"case": "CASES_PER_HOUR"} | ({f"case:{tx.source}": "CASES_PER_SOURCE"} if tx.source else {})
    within = True
    for counted, setting in limits.items():
        row = {"counted": counted, "hour": hour, "number": 1}
        upsert(tx.session, RequestCount, row, {"number": RequestCount.number + 1})
        number = tx.session.scalar(
            select(RequestCount.number).where(RequestCount.counted == counted, RequestCount.hour == hour)
        )
        within = within and (number or 0) <= tx.settings[setting]
    return within


# Replies


def add_reply(
    tx: Transaction,
    case: SupportCase,
    sender: str,
    text: str,
    message_id: str | None = None,
    attachments: Sequence[str] = (),
    *,
    forged: bool = False,
) -> None:
    """Add a received mail. From the case's own address it opens the case again; from another one it changes nothing.

    `forged`: DMARC failed, so the sender's address is not believed.
    """
    case = root(case)
    if forged or mail_address.canonical(sender) != case.email_canonical:
        _add_entry(tx, case, "foreign_reply", sender, text, message_id, attachments)
        return
    _add_entry(tx, case, "reply", sender, text, message_id, attachments)
    if case.state == CaseState.WAITING:  # the clock stood still since the question
        waited = working_days_after(_day(case.state_since), _day(tx.now), tx.settings["CLOSING_DAYS"])
        case.promised_on = add_working_days(case.promised_on, waited, tx.settings["CLOSING_DAYS"])
    elif case.state == CaseState.CLOSED:
        case.promised_on = promised_day(tx.now, tx.settings)
    if case.state != CaseState.OPEN:
        _set_state(tx, case, CaseState.OPEN)
        tx.record("case.reopened", case.customer, reference=case.reference)


def _day(at: datetime) -> date:
    return at.astimezone(BERLIN).date()


def question_came_back(tx: Transaction, case: SupportCase, reason: str) -> None:
    """Open a case again whose customer never got the question."""
    if case.state == CaseState.WAITING:
        _add_entry(tx, case, "note", "", f"Die Rückfrage kam zurück: {reason}")
        _set_state(tx, case, CaseState.OPEN)
        tx.record("case.reopened", case.customer, reference=case.reference)


def root(case: SupportCase) -> SupportCase:
    """Return the case into which this one was merged, or itself."""
    while case.merged_into:
        case = case.merged_into
    return case


def _add_entry(
    tx: Transaction,
    case: SupportCase,
    kind: str,
    author: str,
    text: str,
    message_id: str | None = None,
    attachments: Sequence[str] = (),
) -> None:
    case.entries.append(
        CaseEntry(at=tx.now, kind=kind, author=author, text=text, message_id=message_id, attachments=list(attachments))
    )


def _set_state(tx: Transaction, case: SupportCase, state: CaseState, closed_as: str | None = None) -> None:
    case.state, case.state_since, case.closed_as = state, tx.now, closed_as


# The desk


def take(tx: Transaction, case: SupportCase, clerk: Clerk | None) -> None:
    """Mark the case as being worked on by this clerk, or by none, so that two do not do it twice."""
    case.clerk = clerk


def assign(tx: Transaction, case: SupportCase, customer: Customer | None) -> None:
    _require_unfinished(case)
    case.customer = customer
    tx.record("case.assigned", customer, reference=case.reference)


def ask_back(tx: Transaction, case: SupportCase, text: str) -> None:
    """Mail a question; the promised day is suspended until the reply. Raises TooManyMails, CaseClosed."""
    _require_unfinished(case)
    tx.send("case_question", None, to=case.email, case=case, text=text)
    _add_entry(tx, case, "question", tx.initials or "", text)
    _set_state(tx, case, CaseState.WAITING)
    case.answered_at = case.answered_at or tx.now
    tx.record("case.asked_back", case.customer, reference=case.reference)


def add_note(tx: Transaction, case: SupportCase, text: str) -> None:
    _add_entry(tx, case, "note", tx.initials or "", text)


def merge(tx: Transaction, case: SupportCase, reference: str) -> SupportCase:
    """Close the case as a double of the one with this Vorgangsnummer and return that; its replies go there too."""
    _require_unfinished(case)
    other = find_by_reference(tx.session, reference)
    if other is None or other.id == case.id or other.state == CaseState.CLOSED:
        raise SameCase
    other.promised_on = min(other.promised_on, case.promised_on)
    case.merged_into = other
    _close(tx, case, "duplicate")
    return other


def close(tx: Transaction, case: SupportCase, reason: str) -> None:
    """Close with a key of CLOSED_AS; raises CaseClosed."""
    _require_unfinished(case)
    _close(tx, case, reason)


def _close(tx: Transaction, case: SupportCase, reason: str) -> None:
    _set_state(tx, case, CaseState.CLOSED, reason)
    case.answered_at = case.answered_at or tx.now
    case.clerk = None
    tx.record("case.closed", case.customer, reference=case.reference, reason=reason)


def reopen(tx: Transaction, case: SupportCase) -> None:
    case.merged_into = None
    case.promised_on = promised_day(tx.now, tx.settings)
    _set_state(tx, case, CaseState.OPEN)
    tx.record("case.reopened", case.customer, reference=case.reference)


def answer_with_link(tx: Transaction, case: SupportCase, customer: Customer) -> None:
    """Note that a link was sent to the customer of the case; its use closes the case. Raises CaseClosed."""
    _require_unfinished(case)
    case.customer = customer
    _set_state(tx, case, CaseState.ANSWERED)
    case.answered_at = case.answered_at or tx.now
    tx.record("case.answered", customer, reference=case.reference)


def close_redeemed(tx: Transaction, customer: Customer) -> None:
    """Close the cases whose link the customer has used."""
    answered = select(SupportCase).where(SupportCase.customer == customer, SupportCase.state == CaseState.ANSWERED)
    for case in tx.session.scalars(answered):
        _close(tx, case, "redeemed")


def _require_unfinished(case: SupportCase) -> None:
    if case.state == CaseState.CLOSED:
        raise CaseClosed


# Reading


def list_cases(session: Session, states: Sequence[CaseState], before: int = 0) -> Sequence[SupportCase]:
    """Return the cases in these states, skipping `before`; one more than is shown when others follow.

    Open ones by the promised day, so overdue ones come first; closed ones latest first.
    """
    order = (SupportCase.state_since.desc(),) if states == (CaseState.CLOSED,) else (SupportCase.promised_on,)
    cases = _with_people().where(SupportCase.state.in_(states)).order_by(*order, SupportCase.id)
    return session.scalars(cases.offset(before).limit(CASES_SHOWN + 1)).all()


def counts(session: Session, now: datetime) -> tuple[int, int]:
    """Return how many cases wait for the desk, and how many of them are overdue."""
    overdue = func.count().filter(SupportCase.promised_on < _day(now))
    row = session.execute(select(func.count(), overdue).where(SupportCase.state == CaseState.OPEN)).one()
    return row[0], row[1]


def of_customer(session: Session, customer: Customer) -> Sequence[SupportCase]:
    """Return the customer's cases, latest first."""
    return session.scalars(
        select(SupportCase).where(SupportCase.customer_id == customer.id).order_by(SupportCase.id.desc())
    ).all()


def find_by_reference(session: Session, typed: str) -> SupportCase | None:
    return session.scalar(_with_people().where(SupportCase.reference == parse_reference(typed)))


def _with_people() -> Select[SupportCase]:
    return select(SupportCase).options(joinedload(SupportCase.customer), joinedload(SupportCase.clerk))
