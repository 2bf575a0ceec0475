"""Einstellungen: Konto anpassen, Meine Daten, Angemeldete Geräte, Verlauf."""

from contextlib import AbstractContextManager
from functools import wraps
from typing import Any

from flask import Blueprint, current_app, flash, g, jsonify, request
from flask.typing import ResponseReturnValue

from kmzportal import mail_address
from kmzportal.db import db
from kmzportal.models import Customer
from kmzportal.services import accounts, audit, deletion, passwords
from kmzportal.services.refusals import ChangedMeanwhile, TooManyMails
from kmzportal.services.shares import Holder, Shares
from kmzportal.services.transaction import run_outside_transaction
from kmzportal.web import own_devices, passkeys
from kmzportal.web.auth import (
    View,
    act,
    check_own_password,
    current_user,
    customer_only,
    store_session,
    user_transaction,
)
from kmzportal.web.forms import (
    ActionForm,
    CustomerForm,
    NewPasswordForm,
    mail_address_field,
    password_field,
    repeat_field,
)
from kmzportal.web.passkeys import WithPasskey
from kmzportal.web.responses import redirect_in_place, redirect_to, render

bp = Blueprint("account", __name__, url_prefix="/einstellungen")

SAVED = "Ihre Änderungen sind gespeichert."
LINK_SENT = (
    " Wir haben einen Link an die neue E-Mail-Adresse gesendet. "
    "Bis Sie dort auf „Bestätigen“ klicken, gilt die bisherige."
)
PRESS_AGAIN = "Danke. Melden Sie die Geräte jetzt ab."
#: Endpoint of each page that needs the current password, by its name in the URL.
AFTER_CONFIRMATION = {
    "konto": ".edit",
    "daten": ".data",
    "loeschen": ".delete",
    "adresse": ".keep_address",
    "passkeys": "passkeys.overview",
    "geraete": ".devices",
}


class AccountForm(CustomerForm, NewPasswordForm, WithPasskey):
    """The data, and optionally a new password and address."""

    email = mail_address_field("Neue E-Mail-Adresse", None)
    new = password_field("Passwort", None)
    repeat = repeat_field(required=False)
    current = password_field("Aktuelles Passwort", None)


class ConfirmForm(WithPasskey):
    stands_for = "current"
    current = password_field("Aktuelles Passwort", "Geben Sie Ihr aktuelles Passwort ein.")


@bp.get("")
@customer_only
def overview() -> ResponseReturnValue:
    return render("customer/settings.html", customer=current_user.customer)


@bp.route("/adresse-zuruecknehmen", methods=["GET", "POST"])
@customer_only
def keep_address() -> ResponseReturnValue:
    """Withdraw the new address; one that the desk entered only after the current password."""
    form, customer = ActionForm(), current_user.customer
    if accounts.corrected_by_desk(db.session(), customer) and not _password_confirmed():
        return _ask_for_password("adresse")
    # Looks again: the desk may have corrected the address since.
    act(form, lambda tx: accounts.keep_address(tx, customer, confirmed=_password_confirmed()))
    if request.method == "GET" and customer.pending_email:
        flash("Klicken Sie jetzt noch einmal auf „Bisherige Adresse behalten“.", "info")
    if form.errors or request.method == "GET":
        return render("customer/settings.html", form, customer=customer)
    return redirect_to(".overview", "Ihre bisherige E-Mail-Adresse bleibt.")


@bp.route("/konto", methods=["GET", "POST"])
@customer_only
def edit() -> ResponseReturnValue:
    """Show and save the form; it has a field for the current password if its confirmation has expired."""
    customer: Customer = current_user.customer
    if request.method == "GET" and "saved_input" not in g and not _password_confirmed():
        return _ask_for_password("konto")
    # Before the password only what was typed is shown: a field that was not sent would show what is stored.
    stored = customer.data() if _password_confirmed() else dict.fromkeys(Customer.DATA_FIELDS, "")
    form = AccountForm(data=stored | {"version": customer.version})
    form.offer_salutations(customer.salutation)
    # An error of the new password may show what is stored, so it is checked after the current one.
    confirmed = _password_confirmed() or (form.validate_on_submit() and _confirm(form))
    if confirmed and form.valid_for(customer) and _saved(form, customer):
        if form.email.data:
            return redirect_to(".overview", SAVED + _about_new_address(form.email.data, customer))
        return redirect_in_place(".edit", SAVED)
    if form.errors:
        form.add_emptied_error()
    minimum = accounts.password_minimum(customer, current_app.config)
    confirmed = _password_confirmed()
    options = "" if confirmed else passkeys.confirm_options()
    context = {"customer": customer, "confirmed": confirmed, "minimum": minimum, "options": options}
    return render("customer/account.html", form, **context)


def _about_new_address(email: str, customer: Customer) -> str:
    """Return what to say about a new address; it tells nothing of other customers' domains."""
    known = {customer.email_canonical.rpartition("@")[2], *mail_address.FREE_MAIL}
    deceives = mail_address.lookalike(email, known)
    return f"{LINK_SENT} {deceives.warning}" if deceives else LINK_SENT


def _saved(form: AccountForm, customer: Customer) -> bool:
    """Return whether everything was saved; if not, nothing was, and the reason is in the form."""
    password_hash = None
    if form.new.data:
        holder = Holder(current_user.actor, known=True)
        password_hash = run_outside_transaction(passwords.hash_password, form.new.data, holder)
    values = form.seen_version, form.customer_data(), form.email.data, password_hash
    try:
        with user_transaction() as tx:
            new = accounts.save_account(tx, customer, current_user.login_session, *values)
    except (TooManyMails, accounts.TooManyPasswords, accounts.TooManyChanges) as refusal:
        form.add_refusal(refusal)
        return False
    except ChangedMeanwhile:
        form.add_conflict_error(customer)
        return False
    if new:
        store_session(new)
    return True


@bp.route("/bestaetigen/<any(konto, daten, loeschen, adresse, passkeys, geraete):purpose>", methods=["GET", "POST"])
@customer_only
def confirm_password(purpose: str) -> ResponseReturnValue:
    """Check the current password or a passkey. After a refusal the address bar keeps this URL, so GET redirects."""
    if request.method == "GET":
        return redirect_in_place(AFTER_CONFIRMATION[purpose])
    form = ConfirmForm()
    if form.validate_on_submit() and _confirm(form):
        return redirect_in_place(AFTER_CONFIRMATION[purpose], PRESS_AGAIN if purpose == "geraete" else None)
    return _ask_for_password(purpose, form)


def after_confirmation(view: View) -> View:
    """Ask for the current password or a passkey before the pages of passkeys, unless it was confirmed lately."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> ResponseReturnValue:
        return view(*args, **kwargs) if _password_confirmed() else _ask_for_password("passkeys")

    return guarded


def _password_confirmed() -> bool:
    return bool(current_user.proved_within(current_app.config["PROOF_LIFETIME"]))


def _ask_for_password(purpose: str, form: ConfirmForm | None = None) -> ResponseReturnValue:
    options = passkeys.confirm_options()
    return render(
        "customer/confirm_password.html", form or ConfirmForm(formdata=None), purpose=purpose, options=options
    )


def _confirm(form: AccountForm | ConfirmForm) -> bool:
    """Return whether the form has the current password, or a passkey; if so, the session gets a new token."""
    if form.passkey.data:
        return passkeys.confirm(form)
    field = form.current
    if not field.data:
        field.errors = ["Bitte geben Sie zur Sicherheit noch einmal Ihr aktuelles Passwort ein."]
        return False
    new = check_own_password(field.data)
    if new is None:
        field.errors = [
            "Das aktuelle Passwort stimmt nicht. Versuchen Sie es noch einmal. "
            "Nach mehreren Versuchen warten Sie bitte einige Minuten."
        ]
        return False
    store_session(new)
    return True


#: All that a customer wrote may take some hundred MB of memory while it is shown.
_own_data = Shares(places=1, each=1, strangers=0, most=8)


def _one_at_a_time() -> AbstractContextManager[None]:
    return _own_data.turn(current_user.holder)


@bp.get("/daten")
@customer_only
def data() -> ResponseReturnValue:
    if not _password_confirmed():
        return _ask_for_password("daten")
    with _one_at_a_time():
        return render("customer/data.html", data=audit.all_data(db.session(), current_user.customer))


@bp.get("/daten.json")
@customer_only
def data_json() -> ResponseReturnValue:
    if not _password_confirmed():
        return redirect_to(".data")
    with _one_at_a_time():
        response = jsonify(audit.all_data(db.session(), current_user.customer))
    response.headers["Content-Disposition"] = "attachment; filename=meine-daten.json"
    return response


@bp.route("/konto-loeschen", methods=["GET", "POST"])
@customer_only
def delete() -> ResponseReturnValue:
    """Ask the desk to delete the account, after the current password."""
    if not _password_confirmed():
        return _ask_for_password("loeschen")
    form, customer = ActionForm(), current_user.customer
    act(form, lambda tx: deletion.request(tx, customer))
    if request.method == "POST" and not form.errors:
        return redirect_in_place(".delete", "Wir haben Ihre Bitte bekommen.")
    case = deletion.requested(db.session(), customer)
    return render("customer/delete.html", form, customer=customer, case=case)


@bp.get("/geraete")
@customer_only
def devices(form: ActionForm | None = None) -> ResponseReturnValue:
    return render("customer/devices.html", form, **own_devices.listed())


@bp.post("/geraete/<int(max=2147483647):session_id>/beenden")
@customer_only
def end_device(session_id: int) -> ResponseReturnValue:
    if own_devices.proof_due():
        return _ask_for_password("geraete")
    return own_devices.end_session(session_id, devices, ".devices")


@bp.post("/geraete/andere-beenden")
@customer_only
def end_other_devices() -> ResponseReturnValue:
    if own_devices.proof_due():
        return _ask_for_password("geraete")
    return own_devices.end_others(devices, ".devices")


@bp.get("/verlauf")
@customer_only
def history() -> ResponseReturnValue:
    return render("customer/history.html", events=audit.history(db.session(), current_user.customer))
