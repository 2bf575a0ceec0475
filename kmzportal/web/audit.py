"""Das Protokoll, for admins: who did what to whom, and when. Reading it writes nothing."""

from datetime import UTC, date, datetime, time, timedelta
from operator import itemgetter
from typing import Any

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from wtforms import DateField, Field, Form, StringField, ValidationError
from wtforms.validators import Optional

from kmzportal.dates import BERLIN
from kmzportal.db import db
from kmzportal.mail.compose import subject_of
from kmzportal.models.account_link import LinkKind
from kmzportal.models.audit_event import ACTIONS, IDENTITY_CHECKS, AuditEvent
from kmzportal.models.customer import Customer
from kmzportal.services import audit
from kmzportal.services.audit import AuditQuery
from kmzportal.web.auth import admin_only
from kmzportal.web.forms import Filter, choice_field, one_line
from kmzportal.web.responses import page_key, render

bp = Blueprint("audit", __name__, url_prefix="/kundenservice")

KINDS = {
    LinkKind.RECOVERY: "Neues Passwort",
    LinkKind.DESK: "Link zum Konto",
    LinkKind.ADDRESS: "E-Mail-Adresse bestätigen",
    LinkKind.CLERK_FIRST: "Zugang zum Kundenservice",
    LinkKind.OBJECTION: "Das war ich nicht",
}
WORDS: dict[str, Any] = {"kind": KINDS, "check": IDENTITY_CHECKS}
FIELDS = {name: label for name, (label, _) in Customer.DATA_FIELDS.items()} | {
    "number": "Kundennummer",
    "email": "E-Mail",
}
#: What the details of a deed are called; `by` stands beside the name already.
DETAILS = {
    "template": "E-Mail",
    "kind": "Link",
    "code": "Antwort des Mailservers",
    "fields": "Felder",
    "check": "Geprüft",
    "note": "Anmerkung",
    "why": "Grund",
    "reference": "Vorgangsnummer",
    "number": "Anzahl",
    "device": "Gerät",
    "initials": "Kürzel",
    "admin": "Admin",
}


def known_day(_form: Form, field: Field) -> None:
    if field.data and not 2000 <= field.data.year < 2200:
        raise ValidationError("Geben Sie ein Datum aus diesem Jahrhundert ein.")


class DayField(DateField):
    """A date field that shows a day or nothing: its kind knows no other text."""

    def _value(self) -> str:
        return self.data.isoformat() if self.data else ""


def day_field(label: str, name: str) -> DateField:
    return DayField(label, [Optional(), known_day], name=name)


class AuditFilter(Filter):
    action = choice_field("Vorgang", "vorgang", dict(sorted(ACTIONS.items(), key=itemgetter(1))))
    person = StringField("Person", [one_line], name="person")
    since = day_field("Von", "von")
    until = day_field("Bis", "bis")


@bp.get("/protokoll")
@admin_only
def events() -> ResponseReturnValue:
    form = AuditFilter(request.args)
    form.validate()
    found = [] if form.errors else audit.events(db.session(), _wanted(form))
    shown = found[: audit.EVENTS_SHOWN]
    return render(
        "desk/audit.html",
        form,
        events=shown,
        people=audit.people(db.session(), shown),
        older=_older(form, shown[-1]) if len(found) > audit.EVENTS_SHOWN else None,
        now=datetime.now(UTC),
    )


@bp.app_template_filter()
def details(event: AuditEvent) -> str:
    """Return the details of a deed in German: `Felder: Telefon, Schule · Grund: angerufen`."""
    told = {name: value for name, value in event.details.items() if name != "by" and value not in (None, "")}
    return " · ".join(f"{DETAILS.get(name, name)}: {_in_german(name, value)}" for name, value in told.items())


def _in_german(name: str, value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(FIELDS.get(one, str(one)) for one in value)
    if isinstance(value, bool):
        return "ja" if value else "nein"
    if name == "template":
        return subject_of(value)
    return str(WORDS.get(name, {}).get(value, value))


def _wanted(form: AuditFilter) -> AuditQuery:
    return AuditQuery(
        action=form.action.data or None,
        person=(form.person.data or "").strip() or None,
        since=_begins(form.since.data),
        until=_begins(form.until.data + timedelta(days=1)) if form.until.data else None,
        before=page_key(),
    )


def _begins(day: date | None) -> datetime | None:
    """Return when a day begins in Berlin."""
    return datetime.combine(day, time.min, BERLIN).astimezone(UTC) if day else None


def _older(form: AuditFilter, last: AuditEvent) -> dict[str, Any]:
    """Return the address of the next page: the same filter, from there on, and nothing else that stood in this one."""
    same = {field.name: request.args[field.name] for field in form if request.args.get(field.name)}
    return {**same, "vor": last.id}
