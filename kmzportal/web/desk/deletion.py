"""Konto löschen: a clerk deletes the account of a customer, after the second factor."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from wtforms import RadioField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.validators import InputRequired

from kmzportal.db import db
from kmzportal.models import Customer
from kmzportal.services import deletion, desk
from kmzportal.services.refusals import ChangedMeanwhile
from kmzportal.services.transaction import Transaction
from kmzportal.web.auth import act, clerk_only, fresh_second_factor
from kmzportal.web.desk.customers import CUSTOMER, record_access
from kmzportal.web.forms import VersionedForm, text_field
from kmzportal.web.responses import redirect_to, render

bp = Blueprint("deletion", __name__, url_prefix="/kundenservice")


class DeleteForm(VersionedForm):
    loans = RadioField(
        "Sind noch Medien ausgeliehen?",
        [InputRequired("Prüfen Sie, ob noch Medien ausgeliehen sind.")],
        choices=[SelectChoice("none", "Nein, es ist alles zurück"), SelectChoice("open", "Ja")],
    )
    reason = text_field("Grund", 200, missing="Geben Sie einen Grund an.")


@bp.route(f"{CUSTOMER}/loeschen", methods=["GET", "POST"])
@clerk_only
@fresh_second_factor
def delete(customer_id: int) -> ResponseReturnValue:
    customer = db.get_or_404(Customer, customer_id)
    record_access(customer)
    name, form = customer.name, DeleteForm(version=customer.version)

    def delete_customer(tx: Transaction) -> None:
        loans_open = form.loans.data != "none"
        desk.delete_customer(tx, customer, form.seen_version, form.reason.data or "", loans_open)

    try:
        act(form, delete_customer)
    except ChangedMeanwhile:
        form.add_conflict_error(customer)
    if request.method == "POST" and not form.errors:
        return redirect_to("search.customers", f"Das Konto von {name} ist gelöscht.")
    requested = deletion.requested(db.session(), customer)
    return render("desk/delete_customer.html", form, customer=customer, requested=requested)
