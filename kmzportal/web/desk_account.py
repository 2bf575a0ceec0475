"""What the desk changes in a customer's account: a new one, its data, and whether anybody gets in."""

from flask import Blueprint
from flask.typing import ResponseReturnValue
from wtforms import StringField
from wtforms.validators import DataRequired, Length

from kmzportal.models.customer import Customer
from kmzportal.services import desk
from kmzportal.services.refusals import AddressTaken, ChangedMeanwhile
from kmzportal.web.auth import clerk_only, user_transaction
from kmzportal.web.desk_screen import LockForm, customer_or_404, screen
from kmzportal.web.forms import CustomerData, PortalForm, mail_address_field, one_line, trim
from kmzportal.web.responses import redirect_in_place, redirect_to, render

bp = Blueprint("desk_account", __name__, url_prefix="/kundenservice/kunden")

LONGEST_NUMBER = 50


class DataForm(CustomerData, PortalForm):
    pass


class NewForm(CustomerData, PortalForm):
    number = StringField(
        "Kundennummer",
        [
            DataRequired("Geben Sie eine Kundennummer ein."),
            Length(max=LONGEST_NUMBER, message=f"Möglich sind bis zu {LONGEST_NUMBER} Zeichen."),
            one_line,
        ],
        filters=[trim],
    )
    email = mail_address_field(missing="Geben Sie die E-Mail-Adresse ein.")
    first = ("number", "email")


@bp.route("/neu", methods=["GET", "POST"])
@clerk_only
def create() -> ResponseReturnValue:
    form = NewForm()
    form.offer_salutations("")
    if form.validate_on_submit() and (customer := _created(form)):
        return redirect_to(
            "desk.customer", "Das Konto ist angelegt. Senden Sie jetzt den Link.", customer_id=customer.id
        )
    return render("desk/new_customer.html", form)


def _created(form: NewForm) -> Customer | None:
    try:
        with user_transaction() as tx:
            return desk.create_customer(tx, form.number.data or "", form.email.data or "", form.customer_data())
    except AddressTaken:
        form.email.errors = ["Diese Adresse gehört schon zu einem anderen Konto. Suchen Sie danach unter „Kunden“."]
    except desk.NumberTaken:
        form.number.errors = ["Diese Kundennummer gibt es schon. Suchen Sie danach unter „Kunden“."]
    return None


@bp.route("/<int(max=2147483647):customer_id>/daten", methods=["GET", "POST"])
@clerk_only
def data(customer_id: int) -> ResponseReturnValue:
    customer = customer_or_404(customer_id)
    form = DataForm(data=customer.data() | {"version": customer.version})
    form.offer_salutations(customer.salutation)
    if form.validate_on_submit():
        try:
            with user_transaction() as tx:
                desk.correct_data(tx, customer, form.seen_version, form.customer_data())
            return redirect_to("desk.customer", "Die Daten sind gespeichert.", customer_id=customer.id)
        except ChangedMeanwhile:
            form.add_conflict_error(customer)
    return render("desk/customer_data.html", form, customer=customer)


@bp.post("/<int(max=2147483647):customer_id>/sperren")
@clerk_only
def lock(customer_id: int) -> ResponseReturnValue:
    customer, form = customer_or_404(customer_id), LockForm()
    if not form.validate_on_submit():
        return screen(customer, lock=form)
    with user_transaction() as tx:
        desk.lock(tx, customer, form.reason.data or "")
    notice = "Das Konto ist gesperrt. Alle Geräte sind abgemeldet, alle Links zurückgezogen."
    return redirect_in_place("desk.customer", notice, customer_id=customer.id)


@bp.post("/<int(max=2147483647):customer_id>/entsperren")
@clerk_only
def unlock(customer_id: int) -> ResponseReturnValue:
    customer, form = customer_or_404(customer_id), LockForm()
    if not form.validate_on_submit():
        return screen(customer, lock=form)
    with user_transaction() as tx:
        desk.unlock(tx, customer, form.reason.data or "")
    return redirect_in_place("desk.customer", "Das Konto ist wieder offen.", customer_id=customer.id)
