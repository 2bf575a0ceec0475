"""Mitarbeitende: admins add, lock and unlock clerks, and send them their first link."""

from flask import Blueprint, url_for
from flask.typing import ResponseReturnValue
from wtforms import BooleanField, StringField
from wtforms.validators import DataRequired, InputRequired, Length, Regexp

from kmzportal.db import db
from kmzportal.models import Clerk
from kmzportal.services import clerks, links
from kmzportal.services.transaction import Transaction
from kmzportal.web.auth import act, admin_only, current_user, fresh_second_factor, require_second_factor
from kmzportal.web.forms import ActionForm, PortalForm, mail_address_field, trim
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
        [DataRequired("Geben Sie den Namen ein."), Length(max=100, message="Das ist zu lang.")],
        filters=[trim],
    )
    email = mail_address_field(missing="Geben Sie die E-Mail-Adresse ein.")
    initials = StringField(
        "Kürzel",
        [
            InputRequired("Geben Sie ein Kürzel ein."),
            Regexp(f"^{clerks.INITIALS}$", message="Ein Kürzel hat 2 bis 4 Buchstaben."),
        ],
        filters=[trim],
    )
    admin = BooleanField("Darf Mitarbeitende verwalten und das Protokoll sehen")


@bp.get("")
@admin_only
def overview(form: ActionForm | None = None) -> ResponseReturnValue:
    return render("desk/clerks.html", form, clerks=clerks.all_clerks(db.session()))


@bp.route("/neu", methods=["GET", "POST"])
@admin_only
@fresh_second_factor
def add() -> ResponseReturnValue:
    form = ClerkForm()

    def add_clerk(tx: Transaction) -> Clerk | None:
        link = clerks.add(tx, form.email.data or "", form.name.data or "", form.initials.data or "", form.admin.data)
        links.send(tx, link)
        return link.clerk

    if clerk := act(form, add_clerk, first=clerks.lock_all):
        return redirect_in_place(".overview", f"{clerk.name} ist angelegt. Der erste Link geht an {clerk.email}.")
    return render("desk/new_clerk.html", form)


@bp.post("/<int(max=2147483647):clerk_id>/<any(link, sperren, entsperren):action>")
@admin_only
def change(clerk_id: int, action: str) -> ResponseReturnValue:
    clerk, form = db.get_or_404(Clerk, clerk_id), ActionForm()
    if action != "sperren":  # which must not wait
        require_second_factor(url_for(".overview"))
    service, notice = ACTIONS[action]
    act(form, lambda tx: service(tx, clerk, current_user.clerk), first=clerks.lock_all)
    return overview(form) if form.errors else redirect_in_place(".overview", notice.format(clerk.name))
