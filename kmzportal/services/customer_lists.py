"""Listen: customers the desk may look after when it has time. Each list is read from an index of its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, String, func, literal, select, tuple_
from sqlalchemy.orm import Session, aliased

from kmzportal.models import ANSWERS_CASE, AccountLink, Customer, MailState, OutgoingMail
from kmzportal.services.support import TO_STRANGERS

ROWS_SHOWN = 50
COUNTED = 1000
OPEN_FOR = timedelta(days=1)  # since a link was issued
UNSEEN_FOR = timedelta(days=365)  # since the last login
NO_NOTE = literal(None, String)


@dataclass(frozen=True)
class CustomerList:
    """A list, in the order of `at` and `id`, the earliest first. `id` is unique in it."""

    label: str  #: in German
    hint: str
    at_label: str
    at: Any
    id: Any
    where: Callable[[datetime], Sequence[ColumnElement[bool]]]
    note: Any = NO_NOTE  #: a column with a few words
    order: str = "Am längsten her ist, was oben steht."


def _unreachable(_now: datetime) -> Sequence[ColumnElement[bool]]:
    """Match the newest mail that left for the customer's address, if it was not taken there.

    Mails that anyone can cause do not count, see outbox.came_back.
    """
    newer = aliased(OutgoingMail)
    followed = select(newer.id).where(
        newer.recipient_canonical == OutgoingMail.recipient_canonical,
        newer.queued_at >= OutgoingMail.queued_at,
        newer.id > OutgoingMail.id,
        newer.state.in_((MailState.SENT, MailState.REFUSED, MailState.BOUNCED)),
        newer.template.not_in(TO_STRANGERS),
    )
    return [
        OutgoingMail.undelivered(),
        OutgoingMail.template.not_in(TO_STRANGERS),
        OutgoingMail.customer_id == Customer.id,
        OutgoingMail.recipient_canonical == Customer.email_canonical,
        ~followed.exists(),
    ]


#: By their names in the URL.
LISTS: Mapping[str, CustomerList] = {
    "gesperrt": CustomerList(
        "Gesperrt",
        "Diese Konten hat der Kundenservice gesperrt, oder jemand hat „Das war ich nicht“ gemeldet.",
        "Gesperrt seit",
        Customer.locked_at,
        Customer.id,
        lambda _now: [Customer.locked_at.is_not(None)],
    ),
    "unerreichbar": CustomerList(
        "Adresse unerreichbar",
        "Die letzte E-Mail an diese Adressen wurde abgelehnt oder kam zurück. Fragen Sie nach der neuen Adresse.",
        "E-Mail vom",
        OutgoingMail.queued_at,
        OutgoingMail.id,
        _unreachable,
        OutgoingMail.reason,
    ),
    "nie-aktiviert": CustomerList(
        "Nie aktiviert",
        "Zu diesen Konten gibt es noch kein Passwort.",
        "Angelegt",
        Customer.created_at,
        Customer.id,
        lambda _now: [Customer.password_set_at.is_(None)],
    ),
    "link-offen": CustomerList(
        "Link seit Tagen offen",
        "Der Kundenservice hat vor mehr als einem Tag einen Link gesendet oder einen Zugangsbrief gedruckt. "
        "Er gilt noch, benutzt ist er nicht.",
        "Gilt bis",
        AccountLink.expires_at,
        AccountLink.id,
        lambda now: [
            AccountLink.ended_at.is_(None),
            AccountLink.expires_at > now,
            AccountLink.issued_at < now - OPEN_FOR,
            AccountLink.kind.in_(ANSWERS_CASE),
            AccountLink.customer_id == Customer.id,
        ],
        order="Was zuerst abläuft, steht oben.",
    ),
    "lange-nicht-angemeldet": CustomerList(
        "Lange nicht angemeldet",
        "Die letzte Anmeldung ist mehr als ein Jahr her.",
        "Zuletzt angemeldet",
        Customer.last_login_at,
        Customer.id,
        lambda now: [Customer.last_login_at < now - UNSEEN_FOR],
    ),
}


def counts(session: Session, now: datetime) -> dict[str, int]:
    """Return how many customers each list has; COUNTED + 1 stands for any number above."""
    found = {name: select(one.id).where(*one.where(now)).limit(COUNTED + 1) for name, one in LISTS.items()}
    return {name: session.scalar(select(func.count()).select_from(ids.subquery())) or 0 for name, ids in found.items()}


def page(session: Session, name: str, now: datetime, after: int | None = None) -> Sequence[Any]:
    """Return customer, `at`, `id` and `note` of each row after the one with this id; one more when others follow."""
    one = LISTS[name]
    columns = one.at.label("at"), one.id.label("id"), one.note.label("note")
    found = select(Customer, *columns).where(*one.where(now))
    if after:
        position = select(one.at).where(one.id == after).scalar_subquery()
        found = found.where(tuple_(one.at, one.id) > tuple_(position, after))
    return session.execute(found.order_by(one.at, one.id).limit(ROWS_SHOWN + 1)).all()
