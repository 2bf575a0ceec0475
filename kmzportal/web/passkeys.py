"""Passkeys on pages: the browser's answer in a form, and the page with the passkeys of an account.

static/js/passkey.js asks the browser and puts its answer into the form. Without JavaScript there are no such buttons.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from flask import Blueprint, abort, current_app, request
from flask.typing import ResponseReturnValue
from wtforms import HiddenField
from wtforms.validators import DataRequired, Length

from kmzportal.models import Passkey
from kmzportal.services import passkeys
from kmzportal.services.passkeys import LONGEST_NAME, MAX_PASSKEYS, Answer, PasskeyRefused
from kmzportal.services.sessions import NewSession, PersonTable
from kmzportal.services.transaction import link_keys, transaction
from kmzportal.settings import relying_party
from kmzportal.web import auth
from kmzportal.web.auth import View, act, current_user
from kmzportal.web.forms import ActionForm, PortalForm, text_field
from kmzportal.web.responses import redirect_in_place, redirect_to, render

LONGEST_ANSWER = 16_000  # characters; usual are 1,000 to 3,000
NO_ANSWER = "Ihr Browser hat keinen Passkey geschickt. Versuchen Sie es bitte noch einmal."
UNKNOWN = (
    "Dieser Passkey gilt hier nicht. Vielleicht haben Sie ihn entfernt, oder ein neues Passwort hat ihn beendet. "
    "Melden Sie sich mit E-Mail-Adresse und Passwort an."
)
NOT_CONFIRMED = (
    "Dieser Passkey gilt hier nicht. Nehmen Sie einen anderen, oder den anderen Weg auf dieser Seite. "
    "Nach mehreren Versuchen warten Sie bitte einige Minuten."
)
ADDED = "Ihr Passkey ist angelegt. Damit melden Sie sich ab jetzt ohne Passwort an."


class WithPasskey(PortalForm):
    """A form that asks for proof of identity; in place of the field `stands_for` a passkey may answer."""

    stands_for: ClassVar[str] = ""
    passkey = HiddenField(validators=[Length(max=LONGEST_ANSWER, message=NO_ANSWER)])

    def validate(self, *args: Any, **kwargs: Any) -> bool:
        if self.passkey.data and self.stands_for:
            self[self.stands_for].validators = []
        return bool(super().validate(*args, **kwargs))


class PasskeyForm(WithPasskey):
    """A form that only a passkey answers."""

    passkey = HiddenField(validators=[DataRequired(NO_ANSWER), Length(max=LONGEST_ANSWER, message=NO_ANSWER)])


class NewPasskeyForm(PasskeyForm):
    name = text_field("Name des Passkeys", LONGEST_NAME)  # a refusal would leave a passkey on the device alone


class NameForm(PortalForm):
    name = text_field("Name", LONGEST_NAME, "Geben Sie dem Passkey einen Namen.")


def login_options(table: PersonTable) -> str:
    return passkeys.request_options(current_app.config, f"login:{table.__tablename__}")


def confirm_options() -> str:
    """Return the options to confirm with one of the user's passkeys, empty if there is none."""
    mine: list[Passkey] = current_user.person.passkeys
    purpose = f"confirm:{current_user.login_session.id}"
    return passkeys.request_options(current_app.config, purpose, mine) if mine else ""


def creation_options(person: Any, purpose: str) -> str:
    return passkeys.creation_options(current_app.config, link_keys(), person, purpose)


def read(form: Any) -> Answer | None:
    """Return the browser's answer if the form was sent and is valid; if it cannot be read, the form gets the error."""
    if not form.validate_on_submit():
        return None
    try:
        return passkeys.read(form.passkey.data or "")
    except PasskeyRefused as refusal:
        form.add_refusal(refusal)
        return None


def log_in(form: PasskeyForm, table: PersonTable) -> NewSession | None:
    """Return a new session if the form has the answer of a passkey that is known, else None; raises SourceBusy.

    The form gets one error for all reasons (OWASP ASVS 6.3.8).
    """
    answer = read(form)
    if answer is None:
        return None
    with transaction("visitor", auth.source(), lock_now=False, device_token=auth.device_token()) as tx:
        slow = passkeys.is_slow(tx, answer, table)
    if slow:
        auth.wait_for_slow_turn(answer.credential.id)
    try:
        with transaction("visitor", auth.source(), device_token=auth.device_token()) as tx:
            new = passkeys.log_in(tx, answer, auth.device(), table)
    except PasskeyRefused as refusal:
        form.add_refusal(refusal)
        return None
    if new is None:
        form.form_errors.append(UNKNOWN)
    return new


def confirm(form: Any) -> bool:
    """Return whether the form has the answer of one of the user's passkeys; if so, the session gets a new token."""
    answer, person, login_session = read(form), current_user.person, current_user.login_session
    new = answer and act(form, lambda tx: passkeys.confirm(tx, person, login_session, answer))
    if new:
        auth.store_session(new)
    elif not form.errors:
        form.form_errors.append(NOT_CONFIRMED)
    return bool(new)


def overview() -> ResponseReturnValue:
    """Show the user's passkeys and add one."""
    form, person, purpose = NewPasskeyForm(name=auth.device()), current_user.person, f"add:{current_user.actor}"
    if answer := read(form):
        name, this = form.name.data or auth.device(), current_user.login_session
        if act(form, lambda tx: passkeys.add(tx, person, answer, purpose, name, this)):
            return redirect_in_place(".overview", ADDED)
    context = {
        "most": MAX_PASSKEYS,
        "options": creation_options(person, purpose),
        "here": relying_party(current_app.config),
    }
    return render("passkeys.html", form, person=person, **context)


def edit(passkey_id: int) -> ResponseReturnValue:
    """Rename a passkey."""
    passkey, person = _own(passkey_id), current_user.person
    form = NameForm(name=passkey.name)
    act(form, lambda tx: passkeys.rename(tx, person, passkey_id, form.name.data or ""))
    if form.errors or request.method == "GET":
        return render("edit_passkey.html", form, passkey=passkey)
    return redirect_to(".overview", "Der Name ist gespeichert.")


def remove(passkey_id: int) -> ResponseReturnValue:
    form, passkey, person = ActionForm(), _own(passkey_id), current_user.person
    act(form, lambda tx: passkeys.remove(tx, person, passkey_id, current_user.login_session))
    if form.errors:
        return render("edit_passkey.html", form, passkey=passkey)
    return redirect_to(".overview", "Der Passkey ist entfernt. Alle anderen Geräte sind abgemeldet.")


def _own(passkey_id: int) -> Passkey:
    mine: list[Passkey] = current_user.person.passkeys
    return next((passkey for passkey in mine if passkey.id == passkey_id), None) or abort(404)


def blueprint(name: str, url: str, guard: Callable[[View], View]) -> Blueprint:
    """Return the pages of a person's own passkeys. `guard` decorates each view: who may see it, after which proof."""
    bp = Blueprint(name, __name__, url_prefix=url)
    bp.add_url_rule("", view_func=guard(overview), methods=["GET", "POST"])
    bp.add_url_rule("/<int(max=2147483647):passkey_id>", view_func=guard(edit), methods=["GET", "POST"])
    bp.add_url_rule("/<int(max=2147483647):passkey_id>/entfernen", view_func=guard(remove), methods=["POST"])
    return bp
