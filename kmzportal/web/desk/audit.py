"""Protokoll: the audit trail for admins. Reading it is not recorded."""

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
from kmzportal.models import ACTIONS, DETAILS, IDENTITY_CHECKS, POLICIES, AuditEvent, Customer
from kmzportal.services import alarms, audit
from kmzportal.services.audit import AuditQuery
from kmzportal.web.auth import admin_only, page_key, require_second_factor
from kmzportal.web.desk.customers import record_access
from kmzportal.web.forms import Filter, choice_field
from kmzportal.web.responses import render

bp = Blueprint("audit", __name__, url_prefix="/kundenservice")

VALUES: dict[str, Any] = {"kind": {kind: policy.label for kind, policy in POLICIES.items()}, "check": IDENTITY_CHECKS}
VALUES["alarm"] = alarms.LABELS
FIELDS = {name: label for name, (label, _) in Customer.DATA_FIELDS.items()}
FIELDS |= {"number": "Kundennummer", "email": "E-Mail"}


def this_century(_form: Form, field: Field) -> None:
    if field.data and not 2000 <= field.data.year < 2200:
        raise ValidationError("Geben Sie ein Datum aus diesem Jahrhundert ein.")


class AuditFilter(Filter):
    action = choice_field("Vorgang", "vorgang", dict(sorted(ACTIONS.items(), key=itemgetter(1))))
    person = StringField("Person", name="person")
    since = DateField("Von", [Optional(), this_century], name="von")
    until = DateField("Bis", [Optional(), this_century], name="bis")


@bp.get("/protokoll")
@admin_only
def events() -> ResponseReturnValue:
    form, session = AuditFilter(request.args), db.session()
    found = audit.events(session, _query(form)) if form.validate() else []
    shown, older = found[: audit.EVENTS_SHOWN], None
    if len(found) > len(shown):  # the link to the next page has only the parameters of the filter
        older = {field.name: request.args[field.name] for field in form if request.args.get(field.name)}
        older["vor"] = str(shown[-1].id)
    people = audit.people(session, shown)
    if form.person.data:
        for customer in [one for one in people.values() if isinstance(one, Customer)]:
            record_access(customer)
    return render("desk/audit.html", form, events=shown, people=people, older=older, now=datetime.now(UTC))


def _query(form: AuditFilter) -> AuditQuery:
    # What was before a day is a further page too, and each Vorgang has a first one. Who is named is counted as seen.
    if form.until.data or (form.action.data and not form.person.data):
        require_second_factor()
    return AuditQuery(
        action=form.action.data or None,
        person=(form.person.data or "").strip() or None,
        since=_midnight(form.since.data) if form.since.data else None,
        until=_midnight(form.until.data + timedelta(days=1)) if form.until.data else None,
        before=page_key(),
    )


def _midnight(day: date) -> datetime:
    """Return the beginning of the day in Germany, in UTC."""
    return datetime.combine(day, time.min, BERLIN).astimezone(UTC)


@bp.app_template_filter()
def details(event: AuditEvent) -> str:
    """Return the details of an event in German, such as `Felder: Telefon, Schule · Grund: angerufen`."""
    shown = {name: value for name, value in event.details.items() if name != "by" and value not in (None, "")}
    return " · ".join(f"{DETAILS.get(name, name)}: {_in_german(name, value)}" for name, value in shown.items())


def _in_german(name: str, value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(FIELDS.get(field, str(field)) for field in value)
    if isinstance(value, bool):
        return "ja" if value else "nein"
    if name == "template":
        return subject_of(value)
    return str(VALUES.get(name, {}).get(value, value))
