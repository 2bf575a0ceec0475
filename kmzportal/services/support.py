"""Written requests (Anfragen) by form or mail: opened with a promised day, answered and closed by the desk."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from heapq import nsmallest
from typing import Any, NamedTuple

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session, joinedload

from kmzportal import mail_address
from kmzportal.dates import BERLIN, add_working_days, working_days_after
from kmzportal.models import (
    ANSWERS_CASE,
    CLOSED_AS,
    CODE_TRIES,
    AccountLink,
    CaseEntry,
    CaseState,
    Clerk,
    Customer,
    OutgoingMail,
    RequestCount,
    SupportCase,
    fold,
)
from kmzportal.services import devices, sessions
from kmzportal.services.refusals import Refusal
from kmzportal.services.search import TYPO, search, suggestions
from kmzportal.services.tokens import (
    LinkKeys,
    codes_match,
    format_code,
    is_code,
    new_reference,
    parse_reference,
    token_hash,
    without_secrets,
)
from kmzportal.services.transaction import Transaction

TO_STRANGERS = ("case_receipt", "case_code")  # templates of mails that anyone can cause
CODE_LIFETIME = timedelta(hours=1)
SOURCES_PER_ADDRESS = 3  # receipts and codes to one address, as a multiple of what one source may cause
PUZZLES_PER_CASE = 10  # answered puzzles, as a multiple of the limits of cases
CASES_SHOWN = 25
ENTRIES_SHOWN = 6  # of one case: strangers write a hundred of TEXT_STORED, which took 200 MB of memory to show
OF_ACCOUNT = ("deletion", "objection")  # branches whose account is certain, as they begin in it or by its link
UNFINISHED = (CaseState.OPEN, CaseState.WAITING, CaseState.ANSWERED)
#: Possessive, and tried once for each word, as strangers choose the text: stepping back took a second for 25 requests.
ADDRESS = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}+@[\w-]{1,63}+(?:\.[\w-]{1,63}+){1,5}+", re.ASCII)
CANDIDATES_SHOWN, SIMILAR_NAMES_SHOWN = 5, 3
#: Read at most, so that a long text costs no more than a short one.
CHARACTERS_OF_A_CASE, WORDS_OF_A_CASE, ADDRESSES_OF_A_CASE, NAMESAKES_OF_A_CASE = 10_000, 300, 3, 100
REPLIES_PER_CASE = 50  # from its own address, and as many from others
CASES_PER_SENDER = 10  # by mail a day
MORE_IN_MAILBOX = "Weitere Nachrichten zu dieser Anfrage stehen nicht hier, sie liegen im Postfach."
LINK_UNUSED = "Der Link zum Konto gilt nicht mehr. Er wurde nicht benutzt."


class CaseClosed(Refusal):
    """The case is closed already, or merged into another one."""

    message = "Diese Anfrage ist schon abgeschlossen. Öffnen Sie sie wieder, wenn noch etwas zu tun ist."


class CaseOpen(Refusal):
    """Only a closed case can be opened again: the promised day of an open one must not move."""

    message = "Diese Anfrage ist schon offen."


class CaseForgotten(Refusal):
    """The account of the case was deleted, and with it what was written and the address for an answer."""

    message = "Das Konto zu dieser Anfrage ist gelöscht. Sie lässt sich nicht mehr bearbeiten."


class CaseChanged(Refusal):
    """Another clerk acted, or a reply came, since the page was shown."""

    message = (
        "Inzwischen hat jemand anderes diese Anfrage bearbeitet, oder eine Antwort ist gekommen. Nichts wurde "
        "gesendet. Lesen Sie den neuen Stand. Gilt es noch? Dann senden Sie es noch einmal ab."
    )


class CaseTaken(Refusal):
    """Another clerk is working on the case."""


class CaseOfAccount(Refusal):
    """Who asked in an account is certain; assigned to another one, it would be that customer's own request."""

    message = "Diese Anfrage kommt aus einem Konto. Sie lässt sich keinem anderen zuordnen."


class CaseOfOther(Refusal):
    """Merged, the case of one customer would be deleted with the account of the other."""

    message = (
        "Diese Anfragen gehören zu zwei verschiedenen Konten. Beantworten Sie jede für sich. "
        "Was schon zusammengeführt ist, öffnen Sie zuerst wieder."
    )
    field = "reference"


class TooManyRequests(Refusal):
    """The limit of this hour is reached, so the request cannot be taken."""


class SameCase(Refusal):
    """A case cannot be merged into itself, a closed one, or one that does not exist."""

    message = "Unter dieser Vorgangsnummer gibt es keine andere offene Anfrage. Prüfen Sie die Nummer."
    field = "reference"


# Opening


def open_case(
    tx: Transaction, branch: str, channel: str, email: str, text: str, *, proven: bool = False, **fields: Any
) -> SupportCase:
    """Add a case with its first entry. `proven`: who wrote reads the mailbox `email`.

    `fields`: name, school, old_email, new_email, phone; `customer`, only where the account is certain; `message_id`
    and `attachments` of the entry.
    """
    received = {name: fields.pop(name) for name in ("message_id", "attachments") if name in fields}
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
        **fields,
    )
    tx.session.add(case)
    _add_entry(tx, case, "received", email, text, **received)
    tx.record("case.opened", case.customer, reference=case.reference)
    return case


def open_by_mail(
    tx: Transaction, sender: str, text: str, proven: bool, forged: bool, name: str, **mail: Any
) -> SupportCase:
    """Open a case, or add the mail to the newest one of a sender with CASES_PER_SENDER cases within 24 hours.

    Senders that are proven and others count apart, so that forged mails do not use up the limit of the real sender.
    """
    theirs = select(SupportCase).where(
        SupportCase.channel == "mail",
        SupportCase.email_canonical == mail_address.canonical(sender),
        SupportCase.email_proven == proven,
        SupportCase.received_at > tx.now - timedelta(days=1),
    )
    today = tx.session.scalars(theirs.order_by(SupportCase.id.desc()).limit(CASES_PER_SENDER)).all()
    if len(today) == CASES_PER_SENDER and add_reply(tx, today[0], sender, text, forged=forged, **mail):
        return root(today[0])
    return open_case(tx, "other", "mail", sender, text, proven=proven, name=name, **mail)


class Promise(NamedTuple):
    """What the last page of the form shows."""

    reference: str
    day: date


def open_by_form(
    tx: Transaction, proof: str, right: bool, branch: str, email: str, text: str, proven: bool, fields: dict[str, str]
) -> Promise | None:
    """Open a case and mail its receipt if the `proof`, a puzzle or a code mail, was answered `right`; else return None.

    The same form sent twice with one proof, as by a double click, gets the same case. Raises TooManyRequests.
    """
    sent = tx.keys.fingerprint("\0".join(("case", proof, branch, email, text, *fields.values())))
    entry = tx.session.scalar(select(CaseEntry).where(CaseEntry.message_id == sent))
    if entry:
        return Promise(entry.case.reference, entry.case.promised_on)
    if not right:
        return None
    ensure_within_limits(tx)
    case = open_case(tx, branch, "form", email, text, proven=proven, message_id=sent, **fields)
    send_to_stranger(tx, "case_receipt", email, case)
    return Promise(case.reference, case.promised_on)


def promised_day(received_at: datetime, settings: Mapping[str, Any]) -> date:
    """Return the last day for the answer: so many working days after the calendar day of receipt in Berlin."""
    return add_working_days(_day(received_at), settings["ANSWER_WITHIN"], settings["CLOSING_DAYS"])


def _day(at: datetime) -> date:
    return at.astimezone(BERLIN).date()


def send_to_stranger(
    tx: Transaction, template: str, email: str, case: SupportCase | None = None
) -> OutgoingMail | None:
    """Queue a mail to an address that anyone may have typed, unless a budget of this day (UTC), of its own, is used up.

    Each source has a share of the budget in all, and of that of an address, so that neither is used up by one stranger.
    """
    address, day = tx.keys.fingerprint(f"receipt:{mail_address.canonical(email)}"), tx.hour.replace(hour=0)
    per_address, in_all = tx.settings["RECEIPTS_PER_ADDRESS"], tx.settings["RECEIPTS_PER_DAY"]
    budgets = {
        f"receipt:{address}@{tx.source}": per_address,
        f"receipt:{tx.source}": tx.settings["RECEIPTS_PER_SOURCE"] if tx.source else (in_all + 1) // 2,  # the mailbox
        f"receipt:{address}": SOURCES_PER_ADDRESS * per_address,
    }
    within_shares = all(tx.count(counted, day) <= limit for counted, limit in budgets.items())  # ends at a used up one
    if not (within_shares and _within_all_receipts(tx, day)):
        tx.record("mail.capped", template=template)
        return None
    return tx.send(template, None, to=email, case=case, always=True)


def _within_all_receipts(tx: Transaction, day: datetime) -> bool:
    """Count a mail in all. Many sources can use that up, so known sources and devices then have as many again."""
    in_all, per_source = tx.settings["RECEIPTS_PER_DAY"], tx.settings["RECEIPTS_PER_SOURCE"]
    if tx.count("receipt", day) <= in_all:
        return True
    return _is_known(tx, "receipt", per_source, day) and tx.count("receipt-known", day) <= in_all


# The code that proves a mailbox


def send_code(tx: Transaction, email: str, earlier: str = "") -> str | None:
    """Mail a code and return the mail's Message-ID; None when the budget is used up. Raises TooManyRequests.

    Returns `earlier`, the Message-ID of a mail sent before, while its code is valid for this address.
    """
    mail = _code_mail(tx, earlier, email)
    if mail is None:
        ensure_within_limits(tx, "code")
        mail = send_to_stranger(tx, "case_code", email)
    return mail.message_id if mail else None


def check_code(tx: Transaction, message_id: str, email: str, typed: str) -> bool:
    """Return whether the code was mailed to this address within CODE_LIFETIME. A try counts before it is compared.

    A right code costs no try, and neither does a text that is no code.
    """
    mail = _code_mail(tx, message_id, email)
    if mail is None or not is_code(typed):
        return False
    tries = tx.count(f"tries:{message_id}", mail.queued_at)
    right = tries <= CODE_TRIES and codes_match(typed, code_of(tx.keys, message_id))
    if right:
        tx.count(f"tries:{message_id}", mail.queued_at, -1)
    return right


def code_of(keys: LinkKeys, message_id: str) -> str:
    """Return the code of this mail, derived as that of a link: no secret is stored."""
    return format_code(keys.derive("case-code", message_id)[0], groups=2)


def _code_mail(tx: Transaction, message_id: str, email: str) -> OutgoingMail | None:
    sent = select(OutgoingMail).where(
        OutgoingMail.message_id == message_id,
        OutgoingMail.template == "case_code",
        OutgoingMail.recipient_canonical == mail_address.canonical(email),
        OutgoingMail.queued_at > tx.now - CODE_LIFETIME,
    )
    return tx.session.scalar(sent)


# Limits


def ensure_within_limits(tx: Transaction, what: str = "case", times: int = 1) -> None:
    """Count a request; raises TooManyRequests over the limit of its source, or in all, of this hour.

    Only requests within the limit of their source count in all, so that one source cannot use that up. Many sources
    can, so sources with an earlier login go on, and known devices, with a limit for all of an account. The limits
    are those of cases by form, multiplied by `times`; the counters of each `what` are apart.
    """
    per_source = times * tx.settings["CASES_PER_SOURCE"]
    of_source = tx.count(f"{what}:{tx.source}", tx.hour) if tx.source else 0
    if of_source > per_source:
        raise TooManyRequests
    if tx.count(what, tx.hour) > times * tx.settings["CASES_PER_HOUR"] and not _is_known(tx, what, per_source, tx.hour):
        raise TooManyRequests


def _is_known(tx: Transaction, what: str, limit: int, since: datetime) -> bool:
    """Return whether the source has an earlier login, or the device is known and its account within this limit."""
    if sessions.is_known_source(tx.session, tx.keys, tx.source, tx.now):
        return True
    account = devices.account_of(tx.session, tx.device_token, tx.now)
    return account is not None and tx.count(f"{what}-device:{tx.keys.fingerprint(account)}", since) <= limit


def count_puzzle(tx: Transaction, browser: str, by: int = 1) -> int:
    """Count a wrong puzzle of today under the random secret of a browser's forms and return the number."""
    return tx.count(*_wrong_puzzles(browser, tx.now), by)


def wrong_puzzles(session: Session, browser: str, now: datetime) -> int:
    counter = session.get(RequestCount, _wrong_puzzles(browser, now), populate_existing=True)
    return counter.number if counter else 0


def _wrong_puzzles(browser: str, now: datetime) -> tuple[str, datetime]:
    return f"wrong-puzzle:{token_hash(browser)}", now.replace(hour=0, minute=0, second=0, microsecond=0)


# Replies


def add_reply(tx: Transaction, case: SupportCase, sender: str, text: str, *, forged: bool = False, **mail: Any) -> bool:
    """Add a received mail. From the case's own address it opens the case again; from another one it changes nothing.

    Returns False, without an entry, for a mail from another address about a closed case. After REPLIES_PER_CASE one
    note refers to the mailbox. `forged`: DMARC failed, so the sender's address is not believed. `mail`: message_id and
    attachments.
    """
    case = _locked_root(tx, case)
    foreign = forged or mail_address.canonical(sender) != case.email_canonical
    if foreign and case.closed:
        return False
    _add_received(tx, case, "foreign_reply" if foreign else "reply", sender, text, **mail)
    if foreign or case.state == CaseState.OPEN:
        return True
    if case.state == CaseState.WAITING:  # the clock stood still since the question
        waited = working_days_after(_day(case.state_since), _day(tx.now), tx.settings["CLOSING_DAYS"])
        case.promised_on = add_working_days(case.promised_on, waited, tx.settings["CLOSING_DAYS"])
    elif case.closed:
        case.promised_on = promised_day(tx.now, tx.settings)
    _set_state(tx, case, CaseState.OPEN, "case.reopened")
    return True


def _add_received(tx: Transaction, case: SupportCase, kind: str, sender: str, text: str, **mail: Any) -> None:
    if sum(entry.kind == kind for entry in case.entries) < REPLIES_PER_CASE:
        _add_entry(tx, case, kind, sender, text, **mail)
    elif not any(entry.text == MORE_IN_MAILBOX for entry in case.entries):
        _add_entry(tx, case, "note", "", MORE_IN_MAILBOX)


def question_came_back(tx: Transaction, case: SupportCase, reason: str) -> None:
    """Open a case again whose customer never got the question."""
    tx.session.refresh(case, with_for_update=True)
    if case.state == CaseState.WAITING:
        _add_entry(tx, case, "note", "", f"Die Rückfrage kam zurück: {reason}")
        _set_state(tx, case, CaseState.OPEN, "case.reopened")


def root(case: SupportCase) -> SupportCase:
    """Return the case into which this one was merged, or itself."""
    while case.merged_into:
        case = case.merged_into
    return case


def _locked_root(tx: Transaction, case: SupportCase) -> SupportCase:
    """Return the root, locked and read again: the desk may merge or empty it at the same moment."""
    case = root(case)
    tx.session.refresh(case, with_for_update=True)
    return _locked_root(tx, case) if case.merged_into else case


def _add_entry(tx: Transaction, case: SupportCase, kind: str, author: str, text: str, **mail: Any) -> None:
    """Add an entry to the case. Answers quote our mails, and people paste links: these stay out of it."""
    case.entries.append(CaseEntry(at=tx.now, kind=kind, author=author, text=without_secrets(text), **mail))


def _set_state(tx: Transaction, case: SupportCase, state: CaseState, action: str, **details: str) -> None:
    case.state, case.state_since, case.closed_as, case.clerk = state, tx.now, None, None
    if state != CaseState.OPEN:
        case.answered_at = case.answered_at or tx.now
    tx.record(action, case.customer, reference=case.reference, **details)


# The desk


def lock(tx: Transaction, case: SupportCase, seen_version: str, clerk: Clerk | None = None) -> None:
    """Lock the case and read it again. Raises CaseChanged, or CaseTaken where `clerk` is not the one working on it.

    An action that locks a customer as well locks the customer first.
    """
    tx.session.refresh(case, with_for_update=True)
    if case.version != seen_version:
        raise CaseChanged
    if clerk and case.clerk and case.clerk != clerk:
        who = case.clerk.initials
        raise CaseTaken(
            message=f"In Bearbeitung von {who}. Sprechen Sie sich ab, oder übernehmen Sie die Anfrage zuerst."
        )


def take(_tx: Transaction, case: SupportCase, clerk: Clerk | None) -> None:
    """Mark the case as being worked on by this clerk, or by none, so that two do not do it twice."""
    case.clerk = clerk


def assign(tx: Transaction, case: SupportCase, customer: Customer, clerk: Clerk | None = None) -> None:
    """Assign the case to the customer; `clerk` now works on it.

    Raises CaseClosed, CaseOfAccount, or CaseOfOther where one merged into it is assigned to another customer.
    """
    _require_unfinished(case)
    if case.branch in OF_ACCOUNT and case.customer != customer:
        raise CaseOfAccount
    if any(_customers(double) - {customer} for double in case.doubles):
        raise CaseOfOther
    case.customer, case.clerk = customer, clerk or case.clerk
    tx.record("case.assigned", customer, reference=case.reference)


def ask_back(tx: Transaction, case: SupportCase, text: str) -> None:
    """Mail a question; the promised day is suspended until the reply. Raises TooManyMails, CaseClosed."""
    _require_unfinished(case)
    tx.send("case_question", None, to=case.email, case=case, text=text)
    _add_entry(tx, case, "question", tx.initials or "", text)
    _set_state(tx, case, CaseState.WAITING, "case.asked_back")


def add_note(tx: Transaction, case: SupportCase, note: str) -> None:
    _add_entry(tx, case, "note", tx.initials or "", note)


def merge(tx: Transaction, case: SupportCase, reference: str) -> None:
    """Close the case as a double of the one with this Vorgangsnummer, which gets its replies.

    Another case that is locked counts as missing: of two that are merged into each other at once, none may close.
    Raises CaseClosed, SameCase, CaseOfOther.
    """
    _require_unfinished(case)
    named = select(SupportCase).where(SupportCase.reference == parse_reference(reference))
    other = tx.session.scalar(named.with_for_update(skip_locked=True).execution_options(populate_existing=True))
    if other is None or other == case or other.closed:
        raise SameCase
    if len(_customers(case) | _customers(other)) > 1:
        raise CaseOfOther
    other.promised_on = min(other.promised_on, case.promised_on)
    case.merged_into = other
    close(tx, case, "duplicate")


def _customers(case: SupportCase) -> set[Customer]:
    """Return the customers of the case and of those merged into it."""
    mine = {case.customer} if case.customer else set()
    return mine.union(*(_customers(double) for double in case.doubles))


def close(tx: Transaction, case: SupportCase, reason: str) -> None:
    """Close with a key of CLOSED_AS; raises CaseClosed."""
    _require_unfinished(case)
    _set_state(tx, case, CaseState.CLOSED, "case.closed", reason=CLOSED_AS[reason])
    case.closed_as = reason


def reopen(tx: Transaction, case: SupportCase) -> None:
    """Open a closed case with a new promised day; raises CaseOpen, CaseForgotten."""
    if not case.closed:
        raise CaseOpen
    if not case.email:
        raise CaseForgotten
    case.merged_into = None
    case.promised_on = promised_day(tx.now, tx.settings)
    _set_state(tx, case, CaseState.OPEN, "case.reopened")


def answer_with_link(tx: Transaction, case: SupportCase, customer: Customer) -> None:
    """Note that a link was sent to the customer of the case; its use closes it. Raises CaseClosed, CaseChanged."""
    _require_unfinished(case)
    if case.customer != customer:
        raise CaseChanged
    _set_state(tx, case, CaseState.ANSWERED, "case.answered")


def _require_unfinished(case: SupportCase) -> None:
    if case.closed:
        raise CaseClosed


def close_redeemed(tx: Transaction, customer: Customer) -> None:
    """Close the cases whose link the customer has used."""
    answered = select(SupportCase).where(SupportCase.customer == customer, SupportCase.state == CaseState.ANSWERED)
    for case in tx.session.scalars(answered):
        close(tx, case, "redeemed")


def reopen_unused(tx: Transaction) -> None:
    """Open the cases again whose customers have no link of the desk left that sets a password; the promised day stays.

    A link that anyone can ask for, once an hour, must not keep a case from being opened again.
    """
    usable = select(AccountLink.id).where(
        AccountLink.customer_id == SupportCase.customer_id,
        AccountLink.kind.in_(ANSWERS_CASE),
        AccountLink.ended_at.is_(None),
        AccountLink.expires_at > tx.now,
    )
    unused = select(SupportCase).where(SupportCase.state == CaseState.ANSWERED, ~usable.exists())
    for case in tx.session.scalars(unused.with_for_update(skip_locked=True)):
        _add_entry(tx, case, "note", "", LINK_UNUSED)
        _set_state(tx, case, CaseState.OPEN, "case.reopened")


# Reading


def list_cases(session: Session, states: Sequence[CaseState], before: int = 0) -> Sequence[SupportCase]:
    """Return the cases in these states, skipping `before`; one more than is shown when others follow.

    Open ones by the promised day, so overdue ones come first; closed ones latest first.
    """
    by_promise = (SupportCase.state != CaseState.OPEN, SupportCase.promised_on)
    order = (SupportCase.state_since.desc(),) if states == (CaseState.CLOSED,) else by_promise
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


def shown_entries(case: SupportCase, before: int | None = None) -> tuple[list[CaseEntry], int | None]:
    """Return what a page shows of a case, and where its next page begins, `before` there; None if there is none.

    First the oldest entry, and the newest of the writer, of others and of the desk apart: many mails must not hide a
    note. Then all, from the newest on.
    """
    if before:
        older = [entry for entry in case.entries if entry.id < before]
        shown = older[-ENTRIES_SHOWN:]
        return shown, shown[0].id if len(older) > len(shown) else None
    chosen = set(case.entries[:1])
    for kinds in (("received", "reply"), ("foreign_reply",), ("question", "note")):
        chosen.update([entry for entry in case.entries if entry.kind in kinds][-ENTRIES_SHOWN:])
    shown = [entry for entry in case.entries if entry in chosen]
    return shown, case.entries[-1].id + 1 if len(case.entries) > len(shown) else None


# Who is it?


@dataclass
class Candidate:
    """A customer who may have written a case; only a clerk assigns it."""

    customer: Customer
    reasons: dict[str, int]  #: with their weights

    @property
    def weight(self) -> int:
        return sum(self.reasons.values())

    @property
    def certainty(self) -> str:
        return "sehr wahrscheinlich" if self.weight >= 4 else "wahrscheinlich" if self.weight >= 2 else "möglich"


#: Reason and weight, by whether the first name and the school are in the text beside the last name.
NAMED = {
    (True, True): ("Name und Schule stehen in der Anfrage", 3),
    (True, False): ("Der Name steht in der Anfrage", 2),
    (False, True): ("Nachname und Schule stehen in der Anfrage", 1),
}


def candidates(session: Session, cases: Sequence[SupportCase]) -> dict[int, list[Candidate]]:
    """Return for the id of each case the customers who may have written it, most likely first, with the reasons.

    The sender of a mail counts most where the mailbox is proven; an address or name in the text can be anybody's.
    """
    texts = _texts(session, cases)
    addresses = {case.id: dict(_addresses(case, texts[case.id])) for case in cases}
    every = {address for found in addresses.values() for address in found}
    stored = or_(Customer.email_canonical.in_(every), Customer.pending_email_canonical.in_(every))
    customers = session.scalars(select(Customer).where(stored)).all()
    similar = suggestions(session, every - {address for one in customers for address in _stored(one)})
    words = {
        case.id: re.findall(r"[^\W\d_][\w-]+", f"{case.name} {case.school} {texts[case.id]}")[:WORDS_OF_A_CASE]
        for case in cases
    }
    namesakes = _namesakes(session, words)
    names: dict[Customer, list[set[str]]] = {}  # folded once, not for each case
    result = {}
    for case in cases:
        known = {part for word in words[case.id] for part in fold(word).split()}
        reasons = {}
        for customer in {*customers, *namesakes[case.id]}:
            if customer not in names:
                parts = (customer.last_name, customer.first_name, customer.school)
                names[customer] = [set(fold(part).split()) for part in parts]
            reasons[customer] = _reasons(customer, names[customer], addresses[case.id], known)
        for address in addresses[case.id]:
            for one in similar.get(address, ()):
                weight = 2 if one.reason == TYPO else 1
                reasons.setdefault(one.customer, {})[f"{address}: {one.reason}"] = weight
        found = [Candidate(customer, each) for customer, each in reasons.items() if each]
        result[case.id] = sorted(found, key=lambda one: (-one.weight, one.customer.id))[:CANDIDATES_SHOWN]
    return result


def _texts(session: Session, cases: Sequence[SupportCase]) -> dict[int, str]:
    """Return for the id of each case what its person wrote first; a reply from another address fills nothing."""
    texts = {case.id: "" for case in cases}
    beginning = func.substr(CaseEntry.text, 1, CHARACTERS_OF_A_CASE)
    written = CaseEntry.case_id.in_(texts), CaseEntry.kind.in_(("received", "reply"))
    for case_id, text in session.execute(select(CaseEntry.case_id, beginning).where(*written).order_by(CaseEntry.id)):
        if len(texts[case_id]) < CHARACTERS_OF_A_CASE:
            texts[case_id] += f"{text}\n"
    return texts


def _namesakes(session: Session, words: Mapping[int, Sequence[str]]) -> dict[int, list[Customer]]:
    """Return for each case customers whose last name is one of its words, at most NAMESAKES_OF_A_CASE.

    Those whose first name is one as well are preferred. One query finds all, as it has to scan the table.
    """
    spellings = {case_id: {*found, *map(str.title, found)} for case_id, found in words.items()}
    columns = (Customer.id, Customer.last_name, Customer.first_name)
    named = select(*columns).where(Customer.last_name.in_(set().union(*spellings.values())))
    rows = session.execute(named).all()
    chosen = {}
    for case_id, spelt in spellings.items():
        ranked = ((first_name not in spelt, id_) for id_, last_name, first_name in rows if last_name in spelt)
        chosen[case_id] = {id_ for _, id_ in nsmallest(NAMESAKES_OF_A_CASE, ranked)}
    customers = session.scalars(select(Customer).where(Customer.id.in_(set().union(*chosen.values())))).all()
    return {case_id: [one for one in customers if one.id in ids] for case_id, ids in chosen.items()}


def _reasons(
    customer: Customer, names: Sequence[set[str]], addresses: Mapping[str, tuple[str, int]], words: set[str]
) -> dict[str, int]:
    """Return with their weights what of a case fits this customer: `addresses` with their origins, folded `words`.

    `names`: the folded words of the customer's last name, first name and school.
    """
    reasons = {
        f"{address} ist hinterlegt ({addresses[address][0]})": addresses[address][1]
        for address in {customer.email_canonical} & addresses.keys()
    }
    if (pending := customer.pending_email_canonical) in addresses:  # anyone may enter any address as a new one
        reasons[f"{pending} ist als neue Adresse eingetragen, nicht bestätigt"] = 2
    last, first, school = names
    named = NAMED.get((bool(first) and first <= words, bool(school) and school <= words))
    if named and last <= words:
        reasons[named[0]] = named[1]
    return reasons


def _stored(customer: Customer) -> set[str]:
    return {customer.email_canonical, customer.pending_email_canonical or customer.email_canonical}


def similar_names(session: Session, case: SupportCase) -> list[Candidate]:
    """Return customers whose name is one typo away from that of the case, for a case without other candidates."""
    found = search(session, case.name) if case.name else None
    numbers = [hit.id for hit in found.hits[:SIMILAR_NAMES_SHOWN]] if found else []
    customers = session.scalars(select(Customer).where(Customer.id.in_(numbers)))
    return [Candidate(customer, {"Der Name ist ähnlich": 1}) for customer in customers]


def _addresses(case: SupportCase, text: str) -> Iterator[tuple[str, tuple[str, int]]]:
    """Yield each address of the case with its origin and weight; the most important one last, as it is to be kept."""
    if not case.email:  # its account was deleted
        return
    typed = list(dict.fromkeys(map(str.lower, ADDRESS.findall(text))))  # canonical, as they are ASCII
    yield from ((address, ("im Text", 2)) for address in typed[:ADDRESSES_OF_A_CASE])
    if case.new_email:
        yield mail_address.canonical(case.new_email), ("als neue Adresse angegeben", 1)
    if case.old_email:
        yield mail_address.canonical(case.old_email), ("als bisherige Adresse angegeben", 3)
    yield case.email_canonical, ("Absender, Postfach bestätigt", 4) if case.email_proven else ("Absender", 3)
