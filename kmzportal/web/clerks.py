"""Mitarbeitende: admins let clerks in and keep them out."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, abort
from flask.typing import ResponseReturnValue
from wtforms import BooleanField, StringField
from wtforms.validators import DataRequired, InputRequired, Length, Regexp

from kmzportal.db import db
from kmzportal.models.clerk import Clerk
from kmzportal.services import clerks as clerk_service
from kmzportal.services import links
from kmzportal.services.refusals import AccountLocked, TooManyMails
from kmzportal.services.transaction import Transaction
from kmzportal.web.auth import admin_only, current_user, user_transaction
from kmzportal.web.forms import ActionForm, PortalForm, mail_address_field, one_line, trim
from kmzportal.web.responses import redirect_in_place, render

bp = Blueprint("clerks", __name__, url_prefix="/kundenservice/mitarbeitende")

ONE = "/<int(max=2147483647):clerk_id>"
TOO_MANY_MAILS = "An diese Adresse gingen heute schon zu viele E-Mails. Versuchen Sie es morgen wieder."


class ClerkForm(PortalForm):
    name = StringField(
        "Vor- und Nachname",
        [DataRequired("Geben Sie den Namen ein."), Length(max=100, message="Das ist zu lang."), one_line],
        filters=[trim],
    )
    email = mail_address_field(missing="Geben Sie die E-Mail-Adresse ein.")
    initials = StringField(
        "Kürzel",
        [
            InputRequired("Geben Sie ein Kürzel ein."),
            Regexp("^[A-Za-zÄÖÜäöüß]{2,4}$", message="Ein Kürzel hat 2 bis 4 Buchstaben."),
        ],
        filters=[trim],
    )
    admin = BooleanField("Darf Mitarbeitende verwalten und das Protokoll sehen")

    def clerk(self) -> dict[str, Any]:
        return {name: self[name].data for name in ("email", "name", "initials", "admin")}


@bp.get("")
@admin_only
def clerks() -> ResponseReturnValue:
    return _list(ActionForm(formdata=None))


@bp.route("/neu", methods=["GET", "POST"])
@admin_only
def add() -> ResponseReturnValue:
    form = ClerkForm()
    if form.validate_on_submit():
        try:
            with user_transaction(clerk_service.lock_all) as tx:
                links.send(tx, clerk_service.add(tx, **form.clerk()))
        except clerk_service.ClerkExists:
            form.form_errors.append("Es gibt schon jemanden mit dieser Adresse oder diesem Kürzel.")
        except TooManyMails:
            form.email.errors = [TOO_MANY_MAILS]
        else:
            return redirect_in_place(
                ".clerks", f"{form.name.data} ist angelegt. Der erste Link geht an {form.email.data}."
            )
    return render("desk/new_clerk.html", form)


@bp.post(f"{ONE}/link")
@admin_only
def send_link(clerk_id: int) -> ResponseReturnValue:
    return _decide(
        clerk_id, clerk_service.send_link, "Ein neuer Link geht an {}. Bis er benutzt ist, gilt alles wie bisher."
    )


@bp.post(f"{ONE}/sperren")
@admin_only
def lock(clerk_id: int) -> ResponseReturnValue:
    return _decide(clerk_id, clerk_service.lock, "Der Zugang von {} ist gesperrt.")


@bp.post(f"{ONE}/entsperren")
@admin_only
def unlock(clerk_id: int) -> ResponseReturnValue:
    return _decide(clerk_id, clerk_service.unlock, "Der Zugang von {} ist wieder offen.")


def _decide(clerk_id: int, action: Callable[[Transaction, Clerk, Clerk], None], notice: str) -> ResponseReturnValue:
    """Do the deed to a colleague, or say above the list why not."""
    clerk, form = db.session.get(Clerk, clerk_id) or abort(404), ActionForm()
    if not form.validate_on_submit():
        return _list(form)
    try:
        with user_transaction(clerk_service.lock_all) as tx:
            action(tx, clerk, current_user.clerk)
    except clerk_service.OwnAccess:
        form.form_errors.append("Über Ihren eigenen Zugang muss jemand anderes entscheiden.")
    except clerk_service.LastAdmin:
        form.form_errors.append("Mindestens eine Person muss Mitarbeitende verwalten können.")
    except AccountLocked:
        form.form_errors.append("Dieser Zugang ist gesperrt. Entsperren Sie ihn zuerst.")
    except TooManyMails:
        form.form_errors.append(TOO_MANY_MAILS)
    return _list(form) if form.form_errors else redirect_in_place(".clerks", notice.format(clerk.name))


def _list(form: ActionForm) -> ResponseReturnValue:
    return render("desk/clerks.html", form, clerks=clerk_service.all_clerks(db.session()))
