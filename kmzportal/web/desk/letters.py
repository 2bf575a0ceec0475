"""Zugangsbrief drucken: a letter with a code, for customers who cannot reach the stored mail address."""

from datetime import UTC, datetime

from flask import Blueprint, current_app, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import Field, HiddenField, RadioField, ValidationError
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.validators import InputRequired

from kmzportal.dates import format_until
from kmzportal.db import db
from kmzportal.models import AccountLink, Customer, LinkKind
from kmzportal.services import account_status, desk, links
from kmzportal.services.refusals import ChangedMeanwhile
from kmzportal.services.transaction import Transaction, link_keys
from kmzportal.web.auth import act, clerk_only, fresh_second_factor
from kmzportal.web.desk.customers import CUSTOMER, IdentityForm, answer_case, record_access, shown_case
from kmzportal.web.forms import seen
from kmzportal.web.responses import qr_code, render

bp = Blueprint("letters", __name__, url_prefix="/kundenservice")
bp.add_app_template_filter(format_until)


class LetterForm(IdentityForm):
    newest_letter = HiddenField()  # its id, so that a reload of the printed page prints no other one
    handover = RadioField("Wie kommt der Brief an?", [InputRequired("Wählen Sie aus, wie der Brief ankommt.")])

    def offer_handover(self, customer: Customer) -> None:
        """Set the choices: by post only where the postal address is complete."""
        post = f"Per Post an: {', '.join([customer.name, *customer.postal_address])}"
        choices = {"hand": "Ich übergebe ihn", **({"post": post} if customer.postal_address else {})}
        self.handover.choices = [SelectChoice(name, label) for name, label in choices.items()]

    def validate_handover(self, handover: Field) -> None:
        if handover.data == "hand" and self.check.data == "number":  # the code counts with just this number
            raise ValidationError("Zum Übergeben reicht die Kundennummer nicht. Prüfen Sie die Person noch anders.")


@bp.route(f"{CUSTOMER}/zugangsbrief", methods=["GET", "POST"])
@clerk_only
@fresh_second_factor
def print_letter(customer_id: int) -> ResponseReturnValue:
    """Answer the POST with the letter. Its code is not stored, so no other page can show it."""
    customer, case = db.get_or_404(Customer, customer_id), shown_case()
    record_access(customer)
    form = LetterForm(version=customer.version, newest_letter=_newest_letter(customer))
    form.offer_handover(customer)
    posted = form.handover.data == "post"

    def print_letter(tx: Transaction) -> AccountLink:
        note = form.note.data or ""
        shown = form.seen_version, seen(form.newest_letter)
        letter = desk.print_letter(tx, customer, *shown, form.check.data, note, posted)
        answer_case(tx, customer)
        return letter

    try:
        if letter := act(form, print_letter):
            shown = {"code": link_keys().letter_code(letter), "url": _url().removeprefix("https://")}
            return render("desk/letter.html", customer=customer, case=case, letter=letter, posted=posted, **shown)
    except ChangedMeanwhile:
        form.add_conflict_error(customer)
        form.offer_handover(customer)
    if form.errors:
        form.newest_letter.data = str(_newest_letter(customer))
    answers = case.version if case and case.customer_id == customer.id and not case.closed else None
    now = datetime.now(UTC)
    context = {"customer": customer, "case": case, "answers": answers, "now": now}
    changed = account_status.contact_changed(db.session(), customer, now)
    return render("desk/new_letter.html", form, changed=changed, **context)


@bp.get("/zugangsbrief/qr.svg")
@clerk_only
def show_qr_code() -> ResponseReturnValue:
    """The short address, which is the same on every letter."""
    return qr_code(_url())


def _url() -> str:
    return (current_app.config["PUBLIC_URL"] or request.host_url.rstrip("/")) + url_for("letter.redeem")


def _newest_letter(customer: Customer) -> int:
    letter = links.newest(db.session(), customer, LinkKind.LETTER)
    return letter.id if letter else 0
