"""Mitarbeitende: admins add, lock and unlock clerks, and send them their first link."""

from flask import Blueprint
from flask.typing import ResponseReturnValue
from wtforms import BooleanField, StringField
from wtforms.validators import DataRequired, InputRequired, Length, Regexp

from kmzportal.db import db
from kmzportal.models import Clerk
from kmzportal.services import clerks, links
from kmzportal.web.auth import admin_only, current_user
from kmzportal.web.desk import form_transaction
from kmzportal.web.forms import ActionForm, PortalForm, mail_address_field, one_line, trim
from kmzportal.web.responses import redirect_in_place, render

bp = Blueprint("clerks", __name__, url_prefix="/kundenservice/mitarbeitende")

#: The service and the notice of each action, by its name in the URL.
ACTIONS = {
    "link": (clerks.send_link, "Ein neuer Link geht an {}. Bis er benutzt ist, gilt alles wie bisher."),
    "sperren": (clerks.lock, "Der Zugang von {} ist gesperrt."),
    "entsperren": (clerks.unlock, "Der Zugang von {} ist wieder offen."),
}


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


@bp.get("")
@admin_only
def overview() -> ResponseReturnValue:
    return _overview()


@bp.route("/neu", methods=["GET", "POST"])
@admin_only
def add() -> ResponseReturnValue:
    form = ClerkForm()
    if form.validate_on_submit():
        name, email = form.name.data or "", form.email.data or ""
        with form_transaction(form, clerks.lock_all) as tx:
            links.send(tx, clerks.add(tx, email, name, form.initials.data or "", form.admin.data))
        if not form.errors:
            return redirect_in_place(".overview", f"{name} ist angelegt. Der erste Link geht an {email}.")
    return render("desk/new_clerk.html", form)


@bp.post("/<int(max=2147483647):clerk_id>/<any(link, sperren, entsperren):action>")
@admin_only
def change(clerk_id: int, action: str) -> ResponseReturnValue:
    clerk, form = db.get_or_404(Clerk, clerk_id), ActionForm()
    service, notice = ACTIONS[action]
    if form.validate_on_submit():
        with form_transaction(form, clerks.lock_all) as tx:
            service(tx, clerk, current_user.clerk)
    return _overview(form) if form.errors else redirect_in_place(".overview", notice.format(clerk.name))


def _overview(form: ActionForm | None = None) -> ResponseReturnValue:
    return render("desk/clerks.html", form, clerks=clerks.all_clerks(db.session()))
