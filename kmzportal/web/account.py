"""Einstellungen and Konto anpassen."""

from flask import Blueprint, current_app, jsonify, request
from flask.typing import ResponseReturnValue

from kmzportal.db import db
from kmzportal.models.customer import Customer
from kmzportal.services import accounts, audit, passwords
from kmzportal.services.refusals import ChangedMeanwhile, TooManyMails
from kmzportal.services.transaction import run_outside_transaction
from kmzportal.web import forms
from kmzportal.web.auth import current_user, customer_only, store_session_token, user_transaction
from kmzportal.web.forms import (
    ActionForm,
    CustomerData,
    NewPassword,
    PortalForm,
    mail_address_field,
    password_field,
    repeat_field,
)
from kmzportal.web.proof import ask_for_proof, proved, take_proof
from kmzportal.web.responses import redirect_in_place, redirect_to, render

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
    customer: Customer = current_user.customer
    if request.method == "GET" and not forms.saved_input() and not proved():
        return ask_for_proof("konto")
    form = AccountForm(data=customer.data() | {"version": customer.version})
    form.offer_salutations(customer.salutation)
    if form.validate_on_submit() and _allowed(form) and _new_password_suits(form):
        return _save(form)
    if form.errors:
        form.add_emptied_error()
    return _edit(form)


def _edit(form: AccountForm) -> ResponseReturnValue:
    context = {"customer": current_user.customer, "proved": proved(), "minimum": _minimum()}
    return render("customer/account.html", form, **context)


@bp.get("/daten")
@customer_only
def data() -> ResponseReturnValue:
    if not proved():
        return ask_for_proof("daten")
    return render("customer/data.html", data=audit.all_data(db.session(), current_user.customer))


@bp.get("/daten.json")
@customer_only
def data_json() -> ResponseReturnValue:
    if not proved():
        return redirect_to(".data")
    answer = jsonify(audit.all_data(db.session(), current_user.customer))
    answer.headers["Content-Disposition"] = "attachment; filename=meine-daten.json"
    return answer


@bp.post("/adresse-zuruecknehmen")
@customer_only
def withdraw_address() -> ResponseReturnValue:
    form = ActionForm()
    if not form.validate_on_submit():
        return _overview(form)
    with user_transaction() as tx:
        accounts.withdraw_address_change(tx, current_user.customer)
    return redirect_to(".overview", "Ihre bisherige E-Mail-Adresse bleibt.")


def _overview(form: ActionForm | None = None) -> ResponseReturnValue:
    return render("customer/settings.html", form, customer=current_user.customer)


def _minimum() -> int:
    return accounts.password_minimum(current_user.customer, current_app.config)


def _allowed(form: AccountForm) -> bool:
    if proved() or (form.current.data and take_proof(form.current)):
        return True
    if not form.current.errors:
        form.current.errors = ["Bitte geben Sie zur Sicherheit noch einmal Ihr aktuelles Passwort ein."]
    return False


def _new_password_suits(form: AccountForm) -> bool:
    return not form.new.data or form.validate_new_password(current_user.customer)


def _save(form: AccountForm) -> ResponseReturnValue:
    """Save all of the form in one transaction, or nothing of it."""
    password_hash = run_outside_transaction(passwords.hash_password, form.new.data) if form.new.data else None
    try:
        with user_transaction() as tx:
            typed = form.seen_version, form.customer_data(), form.email.data
            token = accounts.save_account(tx, current_user.customer, current_user.login_session, *typed, password_hash)
    except TooManyMails:
        form.email.errors = ["Heute können wir an diese Adresse keine E-Mail mehr senden. Versuchen Sie es morgen."]
        return _edit(form)
    except ChangedMeanwhile:
        form.add_conflict_error(current_user.customer)
        return _edit(form)
    if token:
        store_session_token(token)
    return redirect_in_place(".edit", SAVED + LINK_SENT if form.email.data else SAVED)
