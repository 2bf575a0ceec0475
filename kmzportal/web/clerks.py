"""Mitarbeitende: admins let clerks in and keep them out."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, abort
from flask.typing import ResponseReturnValue
from wtforms import BooleanField, StringField
from wtforms.validators import DataRequired, InputRequired, Length, Regexp

from kmzportal.db import db
from kmzportal.domain.clerk import Clerk
from kmzportal.domain.refusals import AccountLocked, TooManyMails
from kmzportal.services import account_link
from kmzportal.services import clerks as deeds
from kmzportal.services.work import UnitOfWork
from kmzportal.web.access import admin_only
from kmzportal.web.fields import Button, PortalForm, mail_address_field, one_line, trimmed
from kmzportal.web.pages import page, stay
from kmzportal.web.visitor import visitor, visitors_work

bp = Blueprint("clerks", __name__, url_prefix="/kundenservice/mitarbeitende")

ONE = "/<int(max=2147483647):clerk_id>"
TOO_MANY_MAILS = "An diese Adresse gingen heute schon zu viele E-Mails. Versuchen Sie es morgen wieder."


class ClerkForm(PortalForm):
    name = StringField(
        "Vor- und Nachname",
        [DataRequired("Geben Sie den Namen ein."), Length(max=100, message="Das ist zu lang."), one_line],
        filters=[trimmed],
    )
    email = mail_address_field(missing="Geben Sie die E-Mail-Adresse ein.")
    initials = StringField(
        "Kürzel",
        [
            InputRequired("Geben Sie ein Kürzel ein."),
            Regexp("^[A-Za-zÄÖÜäöüß]{2,4}$", message="Ein Kürzel hat 2 bis 4 Buchstaben."),
        ],
        filters=[trimmed],
    )
    admin = BooleanField("Darf Mitarbeitende verwalten und das Protokoll sehen")

    def clerk(self) -> dict[str, Any]:
        return {name: self[name].data for name in ("email", "name", "initials", "admin")}


@bp.get("")
@admin_only
def clerks() -> ResponseReturnValue:
    return _list(Button(formdata=None))


@bp.route("/neu", methods=["GET", "POST"])
@admin_only
def add() -> ResponseReturnValue:
    form = ClerkForm()
    if form.validate_on_submit():
        try:
            with visitors_work(deeds.hold_all) as work:
                account_link.send(work, deeds.add(work, **form.clerk()))
        except deeds.ClerkExists:
            form.form_errors.append("Es gibt schon jemanden mit dieser Adresse oder diesem Kürzel.")
        except TooManyMails:
            form.email.errors = [TOO_MANY_MAILS]
        else:
            return stay(".clerks", f"{form.name.data} ist angelegt. Der erste Link geht an {form.email.data}.")
    return page("clerks/add.html", "clerks/_add_form.html", form)


@bp.post(f"{ONE}/link")
@admin_only
def send_link(clerk_id: int) -> ResponseReturnValue:
    return _decide(clerk_id, deeds.send_link, "Ein neuer Link geht an {}. Bis er benutzt ist, gilt alles wie bisher.")


@bp.post(f"{ONE}/sperren")
@admin_only
def lock(clerk_id: int) -> ResponseReturnValue:
    return _decide(clerk_id, deeds.lock, "Der Zugang von {} ist gesperrt.")


@bp.post(f"{ONE}/entsperren")
@admin_only
def unlock(clerk_id: int) -> ResponseReturnValue:
    return _decide(clerk_id, deeds.unlock, "Der Zugang von {} ist wieder offen.")


def _decide(clerk_id: int, deed: Callable[[UnitOfWork, Clerk, Clerk], None], notice: str) -> ResponseReturnValue:
    """Do the deed to a colleague, or say above the list why not."""
    clerk, form = db.session.get(Clerk, clerk_id) or abort(404), Button()
    if not form.validate_on_submit():
        return _list(form)
    try:
        with visitors_work(deeds.hold_all) as work:
            deed(work, clerk, visitor.clerk)
    except deeds.Oneself:
        form.form_errors.append("Über Ihren eigenen Zugang muss jemand anderes entscheiden.")
    except deeds.LastAdmin:
        form.form_errors.append("Mindestens eine Person muss Mitarbeitende verwalten können.")
    except AccountLocked:
        form.form_errors.append("Dieser Zugang ist gesperrt. Entsperren Sie ihn zuerst.")
    except TooManyMails:
        form.form_errors.append(TOO_MANY_MAILS)
    return _list(form) if form.form_errors else stay(".clerks", notice.format(clerk.name))


def _list(form: Button) -> ResponseReturnValue:
    return page("clerks/clerks.html", "clerks/_clerks.html", form, clerks=deeds.everybody(db.session()))
