"""The one screen for a customer: what is stored and has happened, and the forms that help. Several modules show it."""

from contextlib import suppress
from datetime import UTC, datetime

from flask import abort, current_app
from flask.typing import ResponseReturnValue
from wtforms import RadioField, SelectField, StringField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.validators import DataRequired, InputRequired, Length

from kmzportal import mail_address
from kmzportal.db import db
from kmzportal.mail.previews import redacted_preview
from kmzportal.models.audit_event import IDENTITY_CHECKS
from kmzportal.models.customer import Customer
from kmzportal.services import audit, desk, outbox
from kmzportal.services.outbox import mail_outage
from kmzportal.web.auth import current_user
from kmzportal.web.forms import ActionForm, PortalForm, Versioned, mail_address_field, one_line, trim
from kmzportal.web.responses import render

LONGEST_REASON = 200
REASONS = ("Anruf", "E-Mail an den Kundenservice", "persönlich", "E-Mail kam nicht an", "Sonstiges")
LOGINS_SHOWN = 5
LOGINS = ("login.succeeded", "login.refused", "login.throttled", "password.refused")


def reason_field(label: str, missing: str | None = None) -> StringField:
    needed = [DataRequired(missing)] if missing else []
    longest = Length(max=LONGEST_REASON, message=f"Möglich sind bis zu {LONGEST_REASON} Zeichen.")
    return StringField(label, [*needed, longest, one_line], filters=[trim])


class CorrectForm(Versioned, PortalForm):
    email = mail_address_field("Neue E-Mail-Adresse", missing="Geben Sie die neue E-Mail-Adresse ein.")
    check = RadioField(
        "Wie haben Sie geprüft, wer fragt?",
        [InputRequired("Wählen Sie aus, wie Sie geprüft haben, wer fragt.")],
        choices=[SelectChoice(name, word) for name, word in IDENTITY_CHECKS.items()],
    )
    note = reason_field("Anmerkung zur Prüfung")

    @property
    def typed(self) -> tuple[int, str, str, str]:
        return self.seen_version, self.email.data or "", self.check.data, self.note.data or ""


class SendForm(PortalForm):
    why = SelectField("Anlass", choices=[SelectChoice(reason, reason) for reason in REASONS])


class LockForm(PortalForm):
    reason = reason_field("Grund", "Geben Sie einen Grund an.")


def customer_or_404(customer_id: int) -> Customer:
    return db.session.get(Customer, customer_id) or abort(404)


def screen(
    customer: Customer, typed: str | None = None, template: str = "desk/customer.html", **refused: PortalForm
) -> ResponseReturnValue:
    """Return the page, or for htmx its content; `refused` is the form that was sent in vain, by its name."""
    forms: dict[str, PortalForm] = {
        "correct": CorrectForm(formdata=None, email=typed or customer.pending_email, version=customer.version),
        "send": SendForm(formdata=None),
        "lock": LockForm(formdata=None),
        **refused,
    }
    sent = next(iter(refused.values()), ActionForm(formdata=None))
    context = {**forms, **known_of(customer), **preview_of(customer, forms["correct"]["email"].data)}
    return render(template, sent, customer=customer, **context)


def known_of(customer: Customer) -> dict[str, object]:
    """Return what has happened: links, mails, logins, history, and whether mail leaves the house."""
    session, now = db.session(), datetime.now(UTC)
    events = audit.history(session, customer)
    return {
        "now": now,
        "links": desk.recent_links(session, customer),
        "mails": outbox.list_mails(session, customer=customer),
        "disturbed": mail_outage(session, now, current_app.config),
        "events": events,
        "logins": [event for event in events if event.action in LOGINS][:LOGINS_SHOWN],
    }


def preview_of(customer: Customer, typed: str | None) -> dict[str, object]:
    """Return what would leave for this new address, and what there is to say about it before."""
    now, initials = datetime.now(UTC), current_user.clerk.initials
    templates = ("desk_link", "address_corrected")
    letters = {name: redacted_preview(name, customer, initials, current_app.config, now) for name in templates}
    said: dict[str, object] = {"letters": letters, "new": None, "owner": None, "meant": None, "free_mail": False}
    with suppress(mail_address.InvalidAddress):
        email = mail_address.parse(typed or "")
        said |= {"new": email, "owner": desk.address_owner(db.session(), email, now, but=customer)}
        said |= {"meant": mail_address.suggest_correction(email), "free_mail": mail_address.is_free_mail(email)}
    return said
