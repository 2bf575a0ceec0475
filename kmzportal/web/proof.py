"""The current password, asked for again before personal data are shown or changed."""

from datetime import UTC, datetime

from flask import Blueprint, current_app, request
from flask.typing import ResponseReturnValue
from wtforms import PasswordField

from kmzportal.services import accounts, passwords
from kmzportal.services.transaction import run_outside_transaction
from kmzportal.web.auth import current_user, customer_only, store_session_token, user_transaction
from kmzportal.web.forms import PortalForm, password_field
from kmzportal.web.responses import redirect_in_place, render

bp = Blueprint("proof", __name__, url_prefix="/einstellungen")

AFTER_PROOF = {"konto": "account.edit", "daten": "account.data"}


class ProofForm(PortalForm):
    current = password_field("Aktuelles Passwort", "Geben Sie Ihr aktuelles Passwort ein.")


@bp.route("/bestaetigen/<any(konto, daten):purpose>", methods=["GET", "POST"])
@customer_only
def prove(purpose: str) -> ResponseReturnValue:
    """A wrong password leaves this address behind; whoever enters it again is asked again."""
    if request.method == "GET":
        return redirect_in_place(AFTER_PROOF[purpose])
    form = ProofForm()
    if form.validate_on_submit() and take_proof(form.current):
        return redirect_in_place(AFTER_PROOF[purpose])
    return ask_for_proof(purpose, form)


def proved() -> bool:
    return bool(
        current_user.login_session.password_checked_within(current_app.config["PROOF_LIFETIME"], datetime.now(UTC))
    )


def ask_for_proof(purpose: str, form: ProofForm | None = None) -> ResponseReturnValue:
    form = form or ProofForm(formdata=None)
    return render("customer/confirm_password.html", form, purpose=purpose)


def take_proof(current: PasswordField) -> bool:
    """Whether the current password is right; then the session gets a new token."""
    proof = run_outside_transaction(passwords.check_password, current.data, current_user.customer.password_hash)
    with user_transaction() as tx:
        token = accounts.check_current_password(tx, current_user.customer, current_user.login_session, proof)
    if token is None:
        current.errors = [
            "Das aktuelle Passwort stimmt nicht. Versuchen Sie es noch einmal. "
            "Nach mehreren Versuchen warten Sie bitte einige Minuten."
        ]
        return False
    store_session_token(token)
    return True
