"""Actions of clerks on customers, each recorded in the customer's history with the clerk's initials."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Select, and_, delete, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from kmzportal import mail_address
from kmzportal.dates import BERLIN
from kmzportal.models import (
    ENDS_WITH_ADDRESS,
    NEUTRAL_GREETING,
    AccountLink,
    AddressProposal,
    AuditEvent,
    Clerk,
    ClerkDay,
    Customer,
    CustomerAccess,
    LinkKind,
    LinkState,
    Objection,
    SupportCase,
    fold,
)
from kmzportal.services import account_status, accounts, alarms, deletion, links, passkeys, sessions, support
from kmzportal.services.customer_import import ENTERED_HERE
from kmzportal.services.refusals import AccountLocked, AddressTaken, ChangedMeanwhile, LinkUnusable, Refusal
from kmzportal.services.transaction import Transaction, insert_once, upsert

LINKS_SHOWN = 10
TAKEN = "Diese Adresse gehört schon zu {0.name}, {0.number}."
NOT_DELETED = (
    "Jemand hat „Das war ich nicht“ gemeldet. Prüfen Sie zuerst die Person: Berichtigen Sie die Adresse, oder "
    "entsperren Sie das Konto. Danach können Sie es löschen."
)
NOT_DELETED_YET = (
    "Die E-Mail-Adresse ist neu. Wer die frühere hat, kann noch „Das war ich nicht“ melden. Löschen Sie das Konto erst "
    "nach dieser Frist, in der Regel 7 Tage nach der Änderung."
)
OBJECTION_POSSIBLE = "Vielleicht war jemand anderes in diesem Konto. Prüfen Sie zuerst die Person."
#: What is counted for each clerk and day: its name in the alarm, and the setting above which it is unusual.
COUNTED = {
    "corrections": ("Adressen berichtigt", "DESK_ACTS_PER_DAY"),
    "links": ("Links gesendet", "DESK_ACTS_PER_DAY"),
    "letters": ("Zugangsbriefe gedruckt", "DESK_ACTS_PER_DAY"),
    "locks": ("Konten gesperrt", "DESK_ACTS_PER_DAY"),
    "withdrawals": ("Links und neue Adressen zurückgezogen", "DESK_ACTS_PER_DAY"),
    "created": ("Konten angelegt", "DESK_ACTS_PER_DAY"),
    "deleted": ("Konten gelöscht", "DESK_ACTS_PER_DAY"),
    "questions": ("Rückfragen gesendet", "DESK_ACTS_PER_DAY"),
    "data": ("Daten berichtigt", "DESK_ACTS_PER_DAY"),
    "closed": ("Anfragen abgeschlossen", "DESK_ACTS_PER_DAY"),
    "reopened": ("Anfragen wieder geöffnet", "DESK_ACTS_PER_DAY"),
    "assigned": ("Anfragen zugeordnet", "DESK_ACTS_PER_DAY"),
    "seen": ("Konten angesehen", "DESK_SEEN_PER_DAY"),
}


class SameAddress(Refusal):
    """The new address is the current one."""

    message = "Diese Adresse gilt schon. Nehmen Sie „Link senden“."
    field = "email"


class AddressOfClerk(Refusal):
    """The new address belongs to a clerk, who could take over the account with it."""

    message = "Diese Adresse gehört jemandem vom Kundenservice. Eigene Konten ändert man unter „Konto anpassen“."
    field = "email"


class NumberAlone(Refusal):
    """The Kundennummer alone does not prove who wants this address, see number_suffices.

    Nor does it while someone objected to a change of the address, or can: whoever made it has read the number there.
    """

    message = (
        "Bei dieser Adresse genügt die Kundennummer allein nicht. Rufen Sie zurück, fragen Sie bei der Schule nach, "
        "oder prüfen Sie die Person persönlich."
    )
    field = "check"


class ObjectionOpen(Refusal):
    """Whoever moved the address would get in again."""

    message = "Jemand hat „Das war ich nicht“ gemeldet. Berichtigen Sie zuerst die Adresse, oder prüfen Sie die Person."
    field = "unlock_check"


class SecondPersonDue(Refusal):
    """The clerk who proposed a correction cannot confirm it."""

    message = "Sie haben diese Adresse selbst vorgeschlagen. Jemand anderes muss sie bestätigen."


class SecondPersonFirst(Refusal):
    """A new account cannot begin with an address that only a second person may confirm."""

    message = (
        "Bei diesem Anbieter kann sich jeder eine Adresse anlegen. Legen Sie das Konto mit einer Adresse der Schule "
        "an. Danach berichtigen Sie die Adresse, und jemand anderes bestätigt sie."
    )
    field = "email"


class LetterPrinted(Refusal):
    """A Zugangsbrief was printed since the form was shown, as by this very form before a reload."""

    message = (
        "Dieser Zugangsbrief ist schon gedruckt. Sein Code wird nicht noch einmal gezeigt. Ist der Brief verloren? "
        "Dann drucken Sie einen neuen. Der alte gilt dann nicht mehr."
    )


class NumberTaken(Refusal):
    """Another customer has this Kundennummer."""

    message = "Diese Kundennummer gibt es schon. Suchen Sie danach unter „Kunden“."
    field = "number"


def correct_address(tx: Transaction, customer: Customer, seen_version: int, email: str, check: str, note: str) -> bool:
    """Keep the new address pending and mail it the link; open links and passkeys end, the old address can object.

    For a locked account the address changes at once, without a link, and the password is deleted: a stolen password
    must not work again after the account is unlocked. With SECOND_PERSON an address that anyone can create only waits
    for another clerk: returns False. Objections of the present address end, as the identity was checked, and those of
    earlier ones once the new address is confirmed.
    Raises ChangedMeanwhile, NumberAlone, SameAddress, AddressOfClerk, AddressTaken or TooManyMails before anything is
    changed.
    """
    tx.lock(customer, seen_version)
    if check == "number" and (objection_pending(tx, customer) or not number_suffices(tx.session, customer, email)):
        raise NumberAlone
    _count(tx, "corrections")
    if not _needs_second_person(tx, email):
        _correct(tx, customer, email, check, note)
        return True
    _require_free(tx, email, customer)
    values = {"clerk_id": _clerk_id(tx), "proposed_at": tx.now, "email": email, "check": check, "note": note}
    upsert(tx.session, AddressProposal, {"customer_id": customer.id, **values}, values)
    tx.record("address.proposed", customer, check=check, note=note)
    return False


def number_suffices(session: Session, customer: Customer, email: str) -> bool:
    """Return whether the Kundennummer alone proves who wants `email`: its domain is already known for the school.

    A customer of this school was imported with an address there, or two have one by now: one alone can move to a domain
    of his own. Only an imported school counts, hers too, since customers may change theirs as well: a thief of the
    password could name the school at which he has an address, and that outlasts a new password. What was entered here
    vouches for others only once the office changes it. A domain where anyone gets an address is never enough.
    """
    domain = mail_address.parse(email).rpartition("@")[2]
    if mail_address.is_free_mail(email) or not fold(customer.school):
        return False
    if customer.imported.get("school") != customer.school or customer.imported.get(f"school{ENTERED_HERE}"):
        return False
    texts = f" {fold(customer.school)} ", f"{fold('@' + domain)} "
    # The inner query needs only the index of the search, which SQLite scans.
    ids = select(Customer.id).where(*(Customer.search.contains(text, autoescape=True) for text in texts))
    known = (
        Customer.id.in_(ids),
        Customer.school == customer.school,
        Customer.imported["school"].as_string() == customer.school,
        Customer.imported[f"school{ENTERED_HERE}"].as_string().is_(None),
        Customer.email_canonical.endswith(f"@{mail_address.canonical(email).rpartition('@')[2]}", autoescape=True),
    )
    by_import = and_(
        Customer.imported["email"].as_string().endswith(f"@{domain}", autoescape=True),
        Customer.imported[f"email{ENTERED_HERE}"].as_string().is_(None),
    )
    vouches = session.scalars(select(by_import).where(*known).order_by(by_import.desc().nulls_last()).limit(2)).all()
    return len(vouches) == 2 or any(vouches)


def decide_on_address(tx: Transaction, customer: Customer, seen_version: int, email: str, confirmed: bool) -> None:
    """Correct the address to `email` as another clerk proposed, or drop the proposal.

    Raises SecondPersonDue, or ChangedMeanwhile when something else is proposed now.
    """
    tx.lock(customer, seen_version)
    proposal = tx.session.get(AddressProposal, customer.id, populate_existing=True)
    if proposal is None or proposal.email != email:
        raise ChangedMeanwhile
    if not confirmed:
        tx.session.delete(proposal)
        _count(tx, "withdrawals")
        tx.record("address.proposal_refused", customer)
        return
    if proposal.clerk_id == _clerk_id(tx):
        raise SecondPersonDue
    _count(tx, "corrections")
    _correct(tx, customer, proposal.email, proposal.check, proposal.note)


def proposals(session: Session) -> Sequence[AddressProposal]:
    """Return the corrections that wait for a second clerk, oldest first."""
    return session.scalars(select(AddressProposal).order_by(AddressProposal.proposed_at)).all()


def _needs_second_person(tx: Transaction, email: str) -> bool:
    return tx.settings["SECOND_PERSON"] and mail_address.is_free_mail(email)


def _require_free(tx: Transaction, email: str, customer: Customer | None = None) -> None:
    """Raise what keeps `email` from this customer, or from a new one."""
    canonical = mail_address.canonical(email)
    if customer and canonical == customer.email_canonical:
        raise SameAddress
    if tx.session.scalar(select(Clerk.id).where(Clerk.email_canonical == canonical)):
        raise AddressOfClerk("address.refused", customer)
    if owner := links.address_owner(tx.session, email, tx.now, other_than=customer):
        raise AddressTaken("address.refused", customer, message=TAKEN.format(owner))


def _correct(tx: Transaction, customer: Customer, email: str, check: str, note: str) -> None:
    _require_free(tx, email, customer)
    tx.session.execute(delete(AddressProposal).where(AddressProposal.customer_id == customer.id))
    _take_from_others(tx, email, customer)
    links.end(tx, customer, LinkState.WITHDRAWN, ENDS_WITH_ADDRESS)
    ended = passkeys.take_away(tx, customer)
    if ended:
        sessions.end_all(tx, customer)  # one of them may have begun these on a stolen device
    customer.set_pending_email(email)
    tx.record("address.corrected", customer, check=check, note=note)
    objected = customer.objection == Objection.OPEN
    if not objected:  # the present address can object in full to this change
        customer.objection = None
    if customer.locked_at:
        accounts.settle_objections(tx, customer)
        customer.password_hash = None
        tx.greetings[customer] = NEUTRAL_GREETING  # neither address is confirmed
        accounts.move_email(tx, customer, objected=objected)
        return
    # Those of earlier addresses end when the new one is confirmed: who stole a session of the desk, or the password,
    # can take the correction back until then, and the owner could object no more.
    links.end(tx, customer, LinkState.WITHDRAWN, {LinkKind.OBJECTION}, customer.email)
    link = links.issue(tx, LinkKind.DESK, customer, customer.pending_email, tx.initials)
    links.send(tx, link)
    accounts.notify_old_address(tx, customer, customer.email, "address_corrected", ended_passkeys=ended)


def _take_from_others(tx: Transaction, email: str, owner: Customer) -> None:
    """End the links that others' requests mailed to this address: its owner must not confirm it for their accounts.

    For those others it stays pending, as every address that is never confirmed: their pages must not show that it was
    given to another customer. Their rows are not locked: whoever keeps his own row busy must not keep his link.
    """
    pending = Customer.pending_email_canonical == mail_address.canonical(email), Customer.id != owner.id
    for other in tx.session.scalars(select(Customer).where(*pending)).all():
        links.end(tx, other, LinkState.WITHDRAWN, {LinkKind.ADDRESS})


def sent_meanwhile(tx: Transaction, customer: Customer, seen_link: int | None) -> AccountLink | None:
    """Return the open link that was sent since the form was shown, as by the first click of two, or None.

    `seen_link`: id of the newest link when the form was shown, 0 for none; None if it is not known.
    """
    tx.lock(customer)
    newest = links.newest(tx.session, customer, LinkKind.DESK)
    return newest if newest and newest.usable(tx.now) and seen_link not in (None, newest.id) else None


def send_link(tx: Transaction, customer: Customer, why: str = "") -> AccountLink:
    """Mail a new link to the stored address; an older one ends. Raises AccountLocked, TooManyMails.

    An address that the desk had corrected is no longer pending when its own link ends by this.
    """
    tx.lock(customer)
    pending = customer.pending_email
    if pending and links.end(tx, customer, LinkState.WITHDRAWN, {LinkKind.DESK}, pending):
        accounts.drop_pending_address(tx, customer)
    link = links.issue(tx, LinkKind.DESK, customer, initials=tx.initials)
    links.send(tx, link)
    _count(tx, "links")
    tx.record("link.sent", customer, why=why)
    return link


def print_letter(
    tx: Transaction, customer: Customer, seen_version: int, seen_letter: int, check: str, note: str, posted: bool
) -> AccountLink:
    """Return a new Zugangsbrief, whose code is shown only now; an older one ends. The stored address can object.

    `seen_letter`: id of the newest letter when the form was shown, 0 for none. Raises LetterPrinted, ChangedMeanwhile
    (the postal address may not be the one that the clerk read), AccountLocked, and NumberAlone while what proves a
    person was lately changed, or an objection is possible.
    """
    tx.lock(customer)
    if check == "number" and (
        account_status.contact_changed(tx.session, customer, tx.now) or objection_pending(tx, customer)
    ):
        raise NumberAlone
    newest = links.newest(tx.session, customer, LinkKind.LETTER)
    if (newest.id if newest else 0) != seen_letter:
        raise LetterPrinted
    letter = links.issue(tx, LinkKind.LETTER, customer, initials=tx.initials)
    tx.lock(customer, seen_version)
    _count(tx, "letters")
    tx.record("letter.posted" if posted else "letter.handed_over", customer, check=check, note=note)
    objection = accounts.notify_old_address(tx, customer, customer.email, "letter_printed")
    objection.expires_at = max(objection.expires_at, letter.expires_at)
    return letter


def send_again(tx: Transaction, link: AccountLink) -> None:
    """Mail the same open link once more with a new expiry; raises LinkUnusable, AccountLocked, TooManyMails."""
    _require_open(tx, link)
    if not link.policy.mailed or link.code_used_up:
        raise LinkUnusable
    link.expires_at = tx.now + links.lifetime(tx, link.kind)
    links.send(tx, link)
    _count(tx, "links")
    tx.record("link.sent_again", link.owner, kind=link.kind)


def withdraw_link(tx: Transaction, link: AccountLink) -> None:
    """End an open link, and forget the pending address it was mailed to; raises LinkUnusable, AccountLocked.

    Those that it replaced are withdrawn with it, or their holder could renew them.
    """
    _require_open(tx, link)
    with_replaced = or_(AccountLink.id == link.id, AccountLink.ended_as == LinkState.REPLACED)
    links.end(tx, link.owner, LinkState.WITHDRAWN, {LinkKind(link.kind)}, link.email, with_replaced)
    if link.email == link.owner.pending_email:
        accounts.drop_pending_address(tx, link.owner)
    _count(tx, "withdrawals")
    tx.record("link.withdrawn", link.owner, kind=link.kind)


def withdraw_address(tx: Transaction, customer: Customer) -> None:
    accounts.withdraw_address_change(tx, customer)
    _count(tx, "withdrawals")


def _require_open(tx: Transaction, link: AccountLink) -> None:
    tx.lock(link.owner)
    tx.session.refresh(link)
    if not link.policy.ends_with_address or not link.usable(tx.now):
        raise LinkUnusable
    if link.owner.locked_at:
        raise AccountLocked("link.refused", link.owner, kind=link.kind)


def create_customer(tx: Transaction, number: str, email: str, data: Mapping[str, str]) -> Customer:
    """Add a customer without a password: only a link sets one.

    Raises AddressOfClerk, AddressTaken, SecondPersonFirst, NumberTaken, ChangedMeanwhile.
    """
    _require_free(tx, email)
    if _needs_second_person(tx, email):
        raise SecondPersonFirst
    if tx.session.scalar(Customer.with_number(number)):
        raise NumberTaken
    customer = Customer(number=number, created_at=tx.now, **data)
    customer.set_email(email)
    tx.session.add(customer)
    deletion.allow_again(tx, number)
    try:
        tx.session.flush()
    except IntegrityError:  # another clerk added the same customer in between
        raise ChangedMeanwhile from None
    _take_from_others(tx, email, customer)
    _count(tx, "created")
    tx.record("customer.created", customer)
    return customer


def delete_customer(tx: Transaction, customer: Customer, seen_version: int, why: str, loans_open: bool) -> None:
    """Delete all data of the customer. Raises ObjectionOpen, and what deletion.delete_customer raises.

    Not while an objection is open, nor in the days in which an earlier address could object, even if it did and that
    ended: whoever moved the address could ask for this as well (GDPR 12 (6)), and it would take the notices with it.
    """
    tx.lock(customer, seen_version)
    if customer.objection == Objection.OPEN:
        raise ObjectionOpen(message=NOT_DELETED)
    if tx.session.scalar(_to_earlier_addresses(customer, tx.now)):
        raise ObjectionOpen(message=NOT_DELETED_YET)
    if customer.objection == Objection.REPORTED:
        raise ObjectionOpen(message=OBJECTION_POSSIBLE)
    deletion.delete_customer(tx, customer, seen_version, why, loans_open)
    _count(tx, "deleted")


def correct_data(tx: Transaction, customer: Customer, seen_version: int, data: Mapping[str, str]) -> bool:
    """Store corrected data and return whether anything changed; raises ChangedMeanwhile."""
    tx.lock(customer, seen_version)
    changed = accounts.change_data(tx, customer, data)
    if changed:
        _count(tx, "data")
    return changed


def lock(tx: Transaction, customer: Customer, why: str, intruder: bool = False) -> None:
    """Lock the account. `intruder`: the customer reports one, so unlocking needs an identity check."""
    tx.lock(customer)
    accounts.lock(tx, customer)
    _count(tx, "locks")
    tx.record("account.locked", customer, why=why)
    if intruder:
        _report_intruder(tx, customer)


def report_intruder(tx: Transaction, customer: Customer) -> None:
    """Note that the customer reports an intruder; raises ChangedMeanwhile if the account is not locked any more."""
    tx.lock(customer)
    if not customer.locked_at:
        raise ChangedMeanwhile
    _count(tx, "locks")
    _report_intruder(tx, customer)


def _report_intruder(tx: Transaction, customer: Customer) -> None:
    if customer.objection != Objection.OPEN:
        customer.objection = Objection.REPORTED
        tx.record("account.reported", customer)


def unlock(tx: Transaction, customer: Customer, why: str, check: str = "") -> None:
    """Unlock; a check settles an open objection, and without a check an open or possible one raises ObjectionOpen.

    The Kundennummer alone is none then: whoever had the account has read it there. The password ends. What is only
    possible stays so: a caller may have talked the desk into lock, new address and unlocking.
    """
    tx.lock(customer)
    if unlocking_needs_check(tx.session, customer, tx.now):
        if check in ("", "number"):
            raise ObjectionOpen(message=None if customer.objection == Objection.OPEN else OBJECTION_POSSIBLE)
        customer.password_hash = None  # may be stolen
    if check and customer.objection == Objection.OPEN:
        accounts.settle_objections(tx, customer)
    elif customer.objection == Objection.REPORTED:
        customer.objection = None
    customer.locked_at = None
    tx.record("account.unlocked", customer, why=why, **({"check": check} if check else {}))


def ask_back(tx: Transaction, case: SupportCase, text: str) -> None:
    """Mail a question about the case; raises what support.ask_back raises."""
    support.ask_back(tx, case, text)
    _count(tx, "questions")


def close_case(tx: Transaction, case: SupportCase, reason: str) -> None:
    """Close the case; raises what support.close raises."""
    support.close(tx, case, reason)
    _count(tx, "closed")


def reopen_case(tx: Transaction, case: SupportCase) -> None:
    """Open a closed case; raises what support.reopen raises."""
    support.reopen(tx, case)
    _count(tx, "reopened")


def assign_case(tx: Transaction, case: SupportCase, customer: Customer, clerk: Clerk) -> None:
    """Assign the case to the customer; raises what support.assign raises."""
    support.assign(tx, case, customer, clerk)
    _count(tx, "assigned")


def merge_case(tx: Transaction, case: SupportCase, reference: str) -> None:
    """Close the case as a double of another; raises what support.merge raises."""
    support.merge(tx, case, reference)
    _count(tx, "closed")


def recent_links(session: Session, customer: Customer) -> Sequence[AccountLink]:
    mine = select(AccountLink).where(AccountLink.customer_id == customer.id)
    return session.scalars(
        mine.order_by(AccountLink.issued_at.desc(), AccountLink.kind.desc()).limit(LINKS_SHOWN)
    ).all()


# What a clerk does in a day


def record_access(tx: Transaction, customer: Customer) -> None:
    """Record who sees the data, once a clerk, customer and day."""
    row = {"customer_id": customer.id, "clerk_id": _clerk_id(tx), "day": tx.now.astimezone(BERLIN).date()}
    if insert_once(tx.session, CustomerAccess, row):
        _count(tx, "seen")


def many_addresses(tx: Transaction) -> bool:
    """Return whether the clerk has entered so many addresses in the last hour that the next one needs a code.

    Those of new accounts count as well: with a link, such an account outlasts the session.
    """
    lately = select(func.count()).where(
        AuditEvent.actor == tx.actor,
        AuditEvent.action.in_(("address.corrected", "address.proposed", "customer.created")),
        AuditEvent.at > tx.now - timedelta(hours=1),
    )
    return (tx.session.scalar(lately) or 0) >= int(tx.settings["DESK_CORRECTIONS_PER_HOUR"])


def objection_pending(tx: Transaction, customer: Customer) -> bool:
    """Return whether an objection is open, or still possible from an earlier address: a correction would end it.

    Reads it after a lock: a link that is used at the same moment makes the present address an earlier one.
    """
    tx.lock(customer)
    return objection_possible(tx.session, customer, tx.now)


def objection_possible(session: Session, customer: Customer, now: datetime) -> bool:
    """Return the same without a lock, for a page; true as well for a locked account with an intruder."""
    if customer.objection == Objection.OPEN or (customer.locked_at and unlocking_needs_check(session, customer, now)):
        return True
    still_open = _to_earlier_addresses(customer, now).where(AccountLink.ended_at.is_(None))
    return session.scalar(still_open) is not None


def unlocking_needs_check(session: Session, customer: Customer, now: datetime) -> bool:
    """Return whether an intruder may have used the locked account.

    An objection is open, or was reported, or was possible from any address at the lock: its owner may have rung.
    """
    possible = select(AccountLink.id).where(
        AccountLink.customer_id == customer.id,
        AccountLink.kind == LinkKind.OBJECTION,
        AccountLink.ended_at.is_(None),
        AccountLink.expires_at > min(now, customer.locked_at or now),
    )
    known = customer.objection in (Objection.OPEN, Objection.REPORTED)
    return known or session.scalar(possible.limit(1)) is not None


def lately_of_other(tx: Transaction, email: str, customer: Customer | None = None) -> bool:
    """Return whether this was the address of another customer who may still object to its change.

    Whoever moved it with a stolen session must not give it to another account: its owner would ask there in vain.
    """
    objection = select(AccountLink.customer_id).where(
        func.lower(AccountLink.email) == email.lower(),
        AccountLink.kind == LinkKind.OBJECTION,
        AccountLink.expires_at > tx.now,
    )
    return any(owner != (customer and customer.id) for owner in tx.session.scalars(objection))


def _to_earlier_addresses(customer: Customer, now: datetime) -> Select[int]:
    """Select an objection link whose time is not over, ended or not, of an address that is no longer the account's."""
    objection = select(AccountLink.id).where(
        AccountLink.customer_id == customer.id,
        AccountLink.kind == LinkKind.OBJECTION,
        AccountLink.email != customer.email,
        AccountLink.expires_at > now,
    )
    return objection.limit(1)


def _count(tx: Transaction, act: str) -> None:
    """Count an act of the clerk, a key of COUNTED; the first one over its limit of a day is mailed to the admins."""
    clerk_id, today = _clerk_id(tx), tx.now.astimezone(BERLIN).date()
    if clerk_id is None:  # the console
        return
    row = {"clerk_id": clerk_id, "day": today, "act": act, "number": 1}
    upsert(tx.session, ClerkDay, row, {"number": ClerkDay.number + 1})
    number = tx.session.get_one(ClerkDay, (clerk_id, today, act), populate_existing=True).number
    label, limit = COUNTED[act]
    if number == tx.settings[limit] + 1:
        alarms.raise_alarm(tx, "desk_volume", initials=tx.initials or "", what=label, number=number)


def _clerk_id(tx: Transaction) -> int | None:
    kind, _, number = tx.actor.partition(":")
    return int(number) if kind == "clerk" else None
