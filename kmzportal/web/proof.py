"""The current password, asked for again before personal data are shown or changed."""

from datetime import UTC, datetime

from flask import Blueprint, current_app, request
from flask.typing import ResponseReturnValue
from wtforms import PasswordField

from kmzportal.domain import passwords
from kmzportal.services import account as deeds
from kmzportal.unit_of_work import outside_transaction
from kmzportal.web.access import customer_only
from kmzportal.web.fields import PortalForm, password_field
from kmzportal.web.pages import page, stay
from kmzportal.web.visitor import carry, visitor, visitors_work

bp = Blueprint("proof", __name__, url_prefix="/einstellungen")

AFTER_PROOF = {"konto": "account.edit", "daten": "account.data"}


class ProofForm(PortalForm):
    current = password_field("Aktuelles Passwort", "Geben Sie Ihr aktuelles Passwort ein.")


@bp.route("/bestaetigen/<any(konto, daten):purpose>", methods=["GET", "POST"])
@customer_only
def prove(purpose: str) -> ResponseReturnValue:
    """A wrong password leaves this address behind; whoever enters it again is asked again."""
    if request.method == "GET":
        return stay(AFTER_PROOF[purpose])
    form = ProofForm()
    if form.validate_on_submit() and take_proof(form.current):
        return stay(AFTER_PROOF[purpose])
    return ask_for_proof(purpose, form)


def proved() -> bool:
    return bool(visitor.here.proved_within(current_app.config["PROOF_LIFETIME"], datetime.now(UTC)))


def ask_for_proof(purpose: str, form: ProofForm | None = None) -> ResponseReturnValue:
    form = form or ProofForm(formdata=None)
    return page("proof/prove.html", "proof/_prove_form.html", form, purpose=purpose)


def take_proof(current: PasswordField) -> bool:
    """Whether the current password is right; then the session gets a new token."""
    proof = outside_transaction(passwords.prove, current.data, visitor.customer.password_hash)
    with visitors_work() as work:
        token = deeds.prove(work, visitor.customer, visitor.here, proof)
    if token is None:
        current.errors = [
            "Das aktuelle Passwort stimmt nicht. Versuchen Sie es noch einmal. "
            "Nach mehreren Versuchen warten Sie bitte einige Minuten."
        ]
        return False
    carry(token)
    return True
