"""The account of a customer: its data, password, mail address and lock, and what each change of them ends.

Only `set_password`, `move_email`, `lock` and `drop_pending_address` end sessions, links and pending addresses:

| function | sessions | known devices | passkeys | links | pending address | failures |
|---|---|---|---|---|---|---|
| set_password | but `keep` | but this if `keep` | but `stay` or `keep` | ends_with_password, address | own | yes |
| move_email | but `keep` | but this | – | ends_with_address | becomes the address | yes |
| lock | all | all | all | ends_with_address | yes | – |
| drop_pending_address | – | – | – | those mailed to it, objections to it | yes | – |

Objections end together, because their change is settled: see settle_objections. The desk ends passkeys with the
correction of an address, before it is confirmed: see desk.correct_address.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from kmzportal import mail_address
from kmzportal.models import (
    ENDS_WITH_ADDRESS,
    ENDS_WITH_PASSWORD,
    SETS_PASSWORD,
    AccountLink,
    AddressProposal,
    AuditEvent,
    Clerk,
    Customer,
    LinkKind,
    LinkState,
    LoginSession,
    Objection,
    OutgoingMail,
)
from kmzportal.services import devices, links, passkeys, passwords, sessions, support
from kmzportal.services.passwords import PasswordCheck
from kmzportal.services.refusals import AddressTaken, ChangedMeanwhile, LinkUnusable, Refusal, TooManyMails
from kmzportal.services.sessions import NewSession
from kmzportal.services.transaction import Transaction

PASSWORDS_PER_DAY = 3  # with the current one; a mailed link always sets one
DATA_CHANGES_PER_DAY = 10  # in Konto anpassen
OFFICE_WORDS = ("OFFICE_NAME", "OFFICE_TOWN", "CATALOGUE_NAME")  # no good passwords
BEFORE_THE_MOVE = ("address_change_asked", "address_corrected")  # notices to the address that still counts
OBJECTED = "„Das war ich nicht“ gemeldet aus dem Postfach {}. Das Konto ist gesperrt. Klären Sie, wem es gehört."
OBJECTED_AGAIN = (
    "„Das war ich nicht“ gemeldet aus einem Postfach, das nicht mehr gilt: {}. Die jetzige Adresse haben wir nach "
    "einem Widerspruch selbst eingetragen. Deshalb ist das Konto offen geblieben. Prüfen Sie, ob sie stimmt."
)
KEPT = "Die Adresse, die Sie eingetragen haben, hat der Kunde zurückgenommen: {}. Klären Sie, welche Adresse gilt."


class TooManyChanges(Refusal):
    """The data was changed DATA_CHANGES_PER_DAY times today (UTC)."""

    message = "Ihre Daten wurden heute schon oft geändert. Versuchen Sie es morgen, oder rufen Sie an."


class TooManyPasswords(Refusal):
    """The customer changed the password PASSWORDS_PER_DAY times today."""

    message = (
        f"Sie haben Ihr Passwort heute schon {PASSWORDS_PER_DAY}-mal geändert. Morgen geht es wieder, "
        "oder jetzt über „Passwort vergessen?“."
    )
    field = "new"


# Changes that end sessions and links


def set_password(
    tx: Transaction,
    person: Customer | Clerk,
    password_hash: str,
    keep: LoginSession | None = None,
    stay: Iterable[int] = (),
) -> int:
    """Set the password and end all access that an intruder may have; return how many sessions ended.

    Without a session to `keep`, passkeys end but those with the ids `stay`, which their holder chose. A desk link and
    the address it was mailed to stay: the office has checked the identity behind them.
    """
    person.set_password_hash(password_hash, tx.now)
    if keep is None:
        passkeys.end_all(tx, person, stay)
    sessions.clear_failures(tx, person)
    ended = sessions.end_all(tx, person, keep=keep)
    devices.end_all(tx, person, keep_this=keep is not None)
    links.end(tx, person, LinkState.REPLACED, ENDS_WITH_PASSWORD)
    links.end(tx, person, LinkState.WITHDRAWN, {LinkKind.ADDRESS})
    # Whether one was open must not decide: desk._take_from_others may have ended it, which no page may show.
    if isinstance(person, Customer) and not corrected_by_desk(tx.session, person):
        person.set_pending_email(None)
    return ended


def move_email(tx: Transaction, customer: Customer, keep: LoginSession | None = None, objected: bool = False) -> None:
    """Make the pending address the address, end the links to the old one, notify both; raises AddressTaken.

    `objected`: the desk takes the old one away after an objection. It gets no link: its holder may be the intruder.
    """
    old, new = customer.email, customer.pending_email
    if new is None:
        return
    customer.set_pending_email(None)
    try:
        with tx.session.begin_nested():
            customer.set_email(new)
    except IntegrityError:
        raise AddressTaken("address.refused", customer) from None
    links.end(tx, customer, LinkState.WITHDRAWN, ENDS_WITH_ADDRESS)
    devices.end_all(tx, customer, keep_this=True)
    sessions.clear_failures(tx, customer)  # counted for this address while it was unknown
    sessions.end_all(tx, customer, keep=keep)
    tx.record("address.changed", customer)
    if objected:
        tx.warn("address_taken_away", customer, to=old)
    else:
        notify_old_address(tx, customer, old, "address_changed_old")
    tx.warn("address_changed_new", customer)


def lock(tx: Transaction, person: Customer | Clerk) -> None:
    """Block the account until the office unlocks it. Objection links stay valid: they belong to the old mailbox.

    An address that waits for a second clerk waits no longer: the one who proposed it may have been deceived.
    """
    person.locked_at = person.locked_at or tx.now
    sessions.end_all(tx, person)
    devices.end_all(tx, person)
    passkeys.take_away(tx, person)
    if isinstance(person, Customer):
        person.set_pending_email(None)
        tx.session.execute(delete(AddressProposal).where(AddressProposal.customer_id == person.id))
    links.end(tx, person, LinkState.WITHDRAWN, ENDS_WITH_ADDRESS)


def drop_pending_address(tx: Transaction, customer: Customer) -> None:
    """Delete the unconfirmed new address, and end every link that was mailed to it, and the objections to it."""
    pending = customer.pending_email
    notices = select(OutgoingMail.link_id).where(
        OutgoingMail.customer_id == customer.id, OutgoingMail.template.in_(BEFORE_THE_MOVE)
    )
    objections = AccountLink.id.in_(notices)
    links.end(tx, customer, LinkState.WITHDRAWN, {LinkKind.OBJECTION}, customer.email, objections)
    customer.set_pending_email(None)
    links.end(tx, customer, LinkState.WITHDRAWN, {LinkKind.ADDRESS})
    if pending:
        links.end(tx, customer, LinkState.WITHDRAWN, {LinkKind.DESK}, pending)


# Konto anpassen


def confirmation_is_throttled(tx: Transaction, login_session: LoginSession) -> bool:
    """Return whether check_current_password would refuse every password now."""
    return sessions.is_throttled(tx, _confirmation_key(tx, login_session))


def _confirmation_key(tx: Transaction, login_session: LoginSession) -> str:
    return tx.keys.fingerprint(f"session:{login_session.id}")


def check_current_password(
    tx: Transaction, person: Customer | Clerk, login_session: LoginSession, check: PasswordCheck
) -> NewSession | None:
    """Store that the current password was confirmed and return the session with a new token; None if it was wrong.

    Failures are counted by session: on a device left logged in the password cannot be guessed, and failed logins
    elsewhere do not block the person.
    """
    tx.lock(person)
    key = _confirmation_key(tx, login_session)
    throttled = check.throttled or sessions.is_throttled(tx, key)
    if throttled or not check.confirms(person.password_hash):
        if not throttled:
            sessions.count_failure(tx, key, None)
        if not throttled or tx.count(f"throttled:{key}", tx.hour) == 1:  # otherwise they would fill history and audit
            tx.record("password.refused", person)
        return None
    sessions.clear_throttle(tx, key)
    if not getattr(person, "has_factor", False):  # where a clerk has one, only the second factor counts as afresh
        login_session.password_checked_at = tx.now
    tx.record("password.proved", person)
    return sessions.renew_token(login_session)


def change_data(tx: Transaction, customer: Customer, data: Mapping[str, str], **details: str) -> bool:
    """Store changed fields and return whether there were any; the history records their names only, and `details`."""
    changed = [field for field in Customer.DATA_FIELDS if field in data and data[field] != getattr(customer, field)]
    if changed:
        tx.greetings.setdefault(customer, customer.greeting)
    for field in changed:
        setattr(customer, field, data[field])
    if changed:
        tx.record("data.changed", customer, fields=changed, **details)
    return bool(changed)


def save_account(
    tx: Transaction,
    customer: Customer,
    login_session: LoginSession,
    seen_version: int,
    data: Mapping[str, str],
    email: str | None,
    password_hash: str | None,
) -> NewSession | None:
    """Save the form of Konto anpassen; return the session with a new token when the password changed.

    Raises ChangedMeanwhile when the desk, or the customer on another device, saved since `seen_version` was shown;
    TooManyPasswords, as each new password ends the links with which its owner would lock out an intruder, and
    TooManyChanges, as each makes the forms obsolete that the owner or the desk has open.
    """
    tx.lock(customer, seen_version)
    today = tx.now.replace(hour=0, minute=0, second=0, microsecond=0)
    if change_data(tx, customer, data) and tx.count(f"data:{customer.id}", today) > DATA_CHANGES_PER_DAY:
        raise TooManyChanges
    if password_hash:
        if tx.count(f"passwords:{customer.id}", today) > PASSWORDS_PER_DAY:
            raise TooManyPasswords
        set_password(tx, customer, password_hash, keep=login_session)
        tx.record("password.changed", customer)
        tx.warn("password_changed", customer)
    if email:  # after the password, which ends links to addresses
        request_address_change(tx, customer, email)
    return sessions.renew_token(login_session) if password_hash else None


def change_password(tx: Transaction, clerk: Clerk, login_session: LoginSession, password_hash: str) -> NewSession:
    """Set a clerk's own new password and return the session with a new token; the others end."""
    set_password(tx, clerk, password_hash, keep=login_session)
    tx.record("password.changed", clerk)
    tx.warn("clerk_access_changed", clerk, changed="password")
    return sessions.renew_token(login_session)


def active_sessions(session: Session, person: Customer | Clerk, now: datetime) -> list[LoginSession]:
    owner = LoginSession.clerk_id if isinstance(person, Clerk) else LoginSession.customer_id
    not_ended = select(LoginSession).where(owner == person.id, LoginSession.ended_at.is_(None))
    found = session.scalars(not_ended.order_by(LoginSession.last_seen.desc()))
    return [login_session for login_session in found if login_session.alive(now)]


def end_own_session(tx: Transaction, person: Customer | Clerk, session_id: int) -> bool:
    """End one of the person's own sessions and return whether it was theirs and alive."""
    session = tx.session.get(LoginSession, session_id)
    if session is None or (session.customer or session.clerk) is not person or session.ended_at:
        return False
    session.ended_at = tx.now
    tx.record("session.ended", person)
    return True


def end_other_sessions(tx: Transaction, person: Customer | Clerk, login_session: LoginSession) -> int:
    """End all sessions and known devices but this one; return how many sessions there were.

    Not opened links: whoever knows the password could keep the owner from using hers.
    """
    ended = sessions.end_all(tx, person, keep=login_session)
    forgotten = devices.end_all(tx, person, keep_this=True)
    if ended or forgotten:
        tx.record("sessions.ended", person, number=ended)
        notices = tx.count(f"ended:{person.__tablename__}:{person.id}", tx.hour)
        if notices > 1:  # each login with the password could cause another one
            return ended
        if isinstance(person, Clerk):
            tx.warn("clerk_access_changed", person, changed="devices")
        else:
            tx.warn("sessions_ended", person)
    return ended


# A new password


def validate_password(password: str, person: Customer | Clerk, settings: Mapping[str, Any]) -> None:
    """Raise WeakPassword if the password is too weak for this person."""
    office = [*(settings[name] for name in OFFICE_WORDS), "kmzportal", "medienzentrum"]
    passwords.check_strength(password, password_minimum(person, settings), person.known_words + office)


def password_minimum(person: Customer | Clerk, settings: Mapping[str, Any]) -> int:
    return int(settings["STAFF_PASSWORD_MINIMUM" if isinstance(person, Clerk) else "PASSWORD_MINIMUM"])


def set_password_by_link(
    tx: Transaction, link: AccountLink, arrived: datetime, password_hash: str, stay: Iterable[int] = ()
) -> int:
    """Redeem a link for a new password, return how many sessions ended; raises LinkUnusable or AccountLocked.

    `stay`: ids of the passkeys that the holder ticked.
    """
    links.redeem(tx, link, arrived, SETS_PASSWORD)
    before = passkeys.all_of(tx.session, link.holder)
    if link.customer and link.customer.passkey_offered_at is None:
        link.customer.passkey_offered_at = tx.now
    ended = set_password(tx, link.holder, password_hash, stay=stay)
    kept = passkeys.all_of(tx.session, link.holder)
    tx.record("password.set", link.holder, kind=link.kind)
    if link.policy.answers_case:
        support.close_redeemed(tx, link.owner)
    notice = "clerk_password_set" if link.clerk else "password_set"
    tx.warn(
        notice,
        link.holder,
        by_letter=not link.policy.mailed,
        passkeys=[passkey.name for passkey in kept],
        ended_passkeys=[passkey.name for passkey in before if passkey not in kept],
    )
    return ended


def register(
    tx: Transaction,
    link: AccountLink,
    arrived: datetime,
    seen_version: int,
    data: Mapping[str, str],
    password_hash: str,
    stay: Iterable[int] = (),
) -> None:
    """Redeem the desk's link: password, data and, where the desk corrected it, the new address.

    The desk checked the identity when it corrected it, so objections of earlier addresses end now. The present address,
    which was told of the correction, can still object.
    """
    tx.lock(link.owner, seen_version)
    change_data(tx, link.owner, data, kind=link.kind)
    set_password_by_link(tx, link, arrived, password_hash, stay)
    if link.owner.pending_email == link.email:
        earlier = AccountLink.email != link.owner.email
        links.end(tx, link.owner, LinkState.WITHDRAWN, {LinkKind.OBJECTION}, None, earlier)
        move_email(tx, link.owner)


# A new mail address: request, confirmation, objection


def request_address_change(tx: Transaction, customer: Customer, email: str) -> None:
    """Keep the new address pending and mail it a link; the old one is notified and can object.

    Nothing here depends on whether the address is taken, so no page and no time of the customer shows it (OWASP ASVS
    6.3.8); only the worker looks, see outbox.claim. The notice comes first, so that its arrival does not show either
    how long the other mail took. Raises TooManyMails for a customer who asks too often: no relay for mail.
    """
    tx.lock(customer)
    canonical = mail_address.canonical(email)
    if canonical == customer.email_canonical:
        return
    asked = select(func.count()).where(
        AuditEvent.customer_id == customer.id,
        AuditEvent.action == "address.change_asked",
        AuditEvent.at > tx.now - timedelta(days=1),
    )
    if (tx.session.scalar(asked) or 0) >= tx.settings["MAILS_PER_DAY"]:
        raise TooManyMails("mail.capped", customer, template="address_link")
    keep_address(tx, customer, replaced=True)
    customer.set_pending_email(email)
    tx.record("address.change_asked", customer)
    notify_old_address(tx, customer, customer.email, "address_change_asked")
    link = links.issue(tx, LinkKind.ADDRESS, customer, customer.pending_email)
    links.send(tx, link)


def notify_old_address(tx: Transaction, customer: Customer, old: str, template: str, **facts: Any) -> AccountLink:
    """Mail the old address a notice with "Das war ich nicht"; it never names the new one. Return the link to object."""
    objection = links.issue(tx, LinkKind.OBJECTION, customer, old)
    tx.send(template, customer, to=old, link=objection, always=True, **facts)
    return objection


def withdraw_address_change(tx: Transaction, customer: Customer) -> None:
    tx.lock(customer)
    if customer.pending_email:
        drop_pending_address(tx, customer)
        tx.record("address.change_withdrawn", customer)


def corrected_by_desk(session: Session, customer: Customer) -> bool:
    """Return whether the desk entered the pending address, after an identity check."""
    return links.entered_by(session, customer) == LinkKind.DESK


def keep_address(tx: Transaction, customer: Customer, replaced: bool = False, confirmed: bool = True) -> None:
    """Withdraw the change, or have it replaced, as the customer wants; a correction by the desk becomes a case.

    Raises ChangedMeanwhile for such a correction unless the password was `confirmed`.
    """
    tx.lock(customer)
    pending = customer.pending_email or ""
    corrected = corrected_by_desk(tx.session, customer)
    if corrected and not confirmed:
        raise ChangedMeanwhile
    if replaced:
        drop_pending_address(tx, customer)
    else:
        withdraw_address_change(tx, customer)
    if corrected:
        _open_case(tx, customer, "account", customer.email, KEPT.format(pending))


def confirm_address(tx: Transaction, link: AccountLink, arrived: datetime, keep: LoginSession | None = None) -> None:
    """Make the pending address the address; raises LinkUnusable, or AddressTaken by a race."""
    links.redeem(tx, link, arrived, {LinkKind.ADDRESS})
    if link.owner.pending_email != link.email:
        raise LinkUnusable("link.refused", link.owner, kind=link.kind)
    move_email(tx, link.owner, keep)
    link.owner.objection = None


def object_to_change(tx: Transaction, link: AccountLink, arrived: datetime) -> None:
    """Lock the account ("Das war ich nicht") and delete the password: a new address is asked for with the current one.

    All other objections end. After the desk has settled one, an address that it took away only opens a case.
    """
    links.redeem(tx, link, arrived, {LinkKind.OBJECTION})
    customer = link.owner
    moved = customer.email_canonical != mail_address.canonical(link.email)
    again = moved and customer.objection == Objection.SETTLED
    settle_objections(tx, customer)
    if again:
        tx.record("address.objected_again", customer)
        _open_case(tx, customer, "mail", link.email, OBJECTED_AGAIN.format(link.email), new_email=customer.email)
        return
    lock(tx, customer)
    customer.password_hash = None
    customer.objection = Objection.OPEN
    tx.record("address.objected", customer)
    _open_case(tx, customer, "mail", link.email, OBJECTED.format(link.email))


def settle_objections(tx: Transaction, customer: Customer) -> None:
    """End all objection links: one was used, or the desk has checked the identity and confirmed the address anew."""
    links.end(tx, customer, LinkState.WITHDRAWN, {LinkKind.OBJECTION})
    customer.objection = customer.objection and Objection.SETTLED


def _open_case(tx: Transaction, customer: Customer, channel: str, email: str, text: str, **fields: str) -> None:
    person = {"name": customer.name, "school": customer.school, "customer": customer}
    support.open_case(tx, "objection", channel, email, text, proven=True, **person, **fields)
