"""Einstellungen and Konto anpassen."""

from flask import Blueprint, current_app, jsonify, request
from flask.typing import ResponseReturnValue

from kmzportal.db import db
from kmzportal.domain import passwords
from kmzportal.domain.customer import Customer
from kmzportal.domain.refusals import ChangedMeanwhile, TooManyMails
from kmzportal.services import account as deeds
from kmzportal.services import address as address_deeds
from kmzportal.services import history
from kmzportal.services import password as password_deeds
from kmzportal.unit_of_work import outside_transaction
from kmzportal.web import kept_form
from kmzportal.web.access import customer_only
from kmzportal.web.customer_data import CustomerData
from kmzportal.web.fields import Button, NewPassword, PortalForm, mail_address_field, password_field, repeat_field
from kmzportal.web.pages import go, page, stay
from kmzportal.web.proof import ask_for_proof, proved, take_proof
from kmzportal.web.visitor import carry, visitor, visitors_work

SAVED = "Ihre Änderungen sind gespeichert."
LINK_SENT = " Wir haben einen Link an die neue E-Mail-Adresse gesendet. Bis Sie ihn öffnen, gilt die alte."

bp = Blueprint("account", __name__, url_prefix="/einstellungen")


class AccountForm(CustomerData, NewPassword, PortalForm):
    """Everything a customer may change; password and address only when filled in."""

    email = mail_address_field("Neue E-Mail-Adresse", None)
    new = password_field("Passwort", None)
    repeat = repeat_field(required=False)
    current = password_field("Aktuelles Passwort", None)


@bp.get("")
@customer_only
def overview() -> ResponseReturnValue:
    return _overview()


@bp.route("/konto", methods=["GET", "POST"])
@customer_only
def edit() -> ResponseReturnValue:
    """The personal data; the proof may have run out since they were opened, then the same form asks for it."""
    customer: Customer = visitor.customer
    if request.method == "GET" and not kept_form.entries() and not proved():
        return ask_for_proof("konto")
    form = AccountForm(data=customer.data() | {"version": customer.version})
    form.offer_salutations(customer.salutation)
    if form.validate_on_submit() and _allowed(form) and _new_password_suits(form):
        return _save(form)
    if form.errors:
        form.say_emptied()
    return _edit(form)


def _edit(form: AccountForm) -> ResponseReturnValue:
    context = {"customer": visitor.customer, "proved": proved(), "minimum": _minimum()}
    return page("account/edit.html", "account/_edit_form.html", form, **context)


@bp.get("/daten")
@customer_only
def data() -> ResponseReturnValue:
    if not proved():
        return ask_for_proof("daten")
    return page("account/data.html", "account/_data.html", data=history.all_data(db.session(), visitor.customer))


@bp.get("/daten.json")
@customer_only
def data_json() -> ResponseReturnValue:
    if not proved():
        return go(".data")
    answer = jsonify(history.all_data(db.session(), visitor.customer))
    answer.headers["Content-Disposition"] = "attachment; filename=meine-daten.json"
    return answer


@bp.post("/adresse-zuruecknehmen")
@customer_only
def withdraw_address() -> ResponseReturnValue:
    form = Button()
    if not form.validate_on_submit():
        return _overview(form)
    with visitors_work() as work:
        address_deeds.withdraw(work, visitor.customer)
    return go(".overview", "Ihre bisherige E-Mail-Adresse bleibt.")


def _overview(form: Button | None = None) -> ResponseReturnValue:
    return page("account/overview.html", "account/_overview.html", form, customer=visitor.customer)


def _minimum() -> int:
    return password_deeds.minimum(visitor.customer, current_app.config)


def _allowed(form: AccountForm) -> bool:
    if proved() or (form.current.data and take_proof(form.current)):
        return True
    if not form.current.errors:
        form.current.errors = ["Bitte geben Sie zur Sicherheit noch einmal Ihr aktuelles Passwort ein."]
    return False


def _new_password_suits(form: AccountForm) -> bool:
    return not form.new.data or form.suits(visitor.customer)


def _save(form: AccountForm) -> ResponseReturnValue:
    """Save all of the form in one transaction, or nothing of it."""
    password_hash = outside_transaction(passwords.hash_password, form.new.data) if form.new.data else None
    try:
        with visitors_work() as work:
            typed = form.seen, form.customer_data(), form.email.data
            token = deeds.save(work, visitor.customer, visitor.here, *typed, password_hash)
    except TooManyMails:
        form.email.errors = ["Heute können wir an diese Adresse keine E-Mail mehr senden. Versuchen Sie es morgen."]
        return _edit(form)
    except ChangedMeanwhile:
        form.say_changed(visitor.customer)
        return _edit(form)
    if token:
        carry(token)
    return stay(".edit", SAVED + LINK_SENT if form.email.data else SAVED)
