"""Mitarbeitende: admins add and change clerks, send first links, lock and unlock, and enter who has left."""

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import BooleanField, StringField
from wtforms.validators import DataRequired, Length, Regexp

from kmzportal.db import db
from kmzportal.models import Clerk
from kmzportal.services import clerks, links
from kmzportal.services.transaction import Transaction
from kmzportal.web.auth import (
    OF_ADMINS,
    MissingRight,
    act,
    admin_only,
    current_user,
    fresh_second_factor,
    require_second_factor,
)
from kmzportal.web.forms import ActionForm, PortalForm, mail_address_field, trim
from kmzportal.web.responses import redirect_in_place, redirect_to, render

bp = Blueprint("clerks", __name__, url_prefix="/kundenservice/mitarbeitende")

#: The service and the notice of each action, by its name in the URL.
ACTIONS = {
    "link": (clerks.send_link, "Ein neuer Link geht an {}. Bis er benutzt ist, gilt alles wie bisher."),
    "sperren": (clerks.lock, "Der Zugang von {} ist gesperrt."),
    "entsperren": (clerks.unlock, "Der Zugang von {} ist entsperrt. Senden Sie jetzt einen neuen ersten Link."),
    "ausscheiden": (clerks.leave, "{} ist als ausgeschieden eingetragen."),
    "zurueck": (clerks.bring_back, "{} ist wieder dabei. Der erste Link ist unterwegs."),
}
ASKED = {"sperren", "ausscheiden"}  #: with a question before


class EditForm(PortalForm):
    name = StringField(
        "Vor- und Nachname",
        [DataRequired("Geben Sie den Namen ein."), Length(max=100, message="Das ist zu lang.")],
        filters=[trim],
    )
    initials = StringField(
        "Kürzel",
        [
            DataRequired("Geben Sie ein Kürzel ein."),
            Regexp(f"^{clerks.INITIALS}$", message="Ein Kürzel hat 2 bis 4 Buchstaben."),
        ],
        filters=[trim],
    )
    admin = BooleanField("Darf Mitarbeitende verwalten und das Protokoll sehen")


class ClerkForm(EditForm):
    first = ("name", "email")
    email = mail_address_field(missing="Geben Sie die E-Mail-Adresse ein.")


@bp.get("")
@admin_only
def overview(form: ActionForm | None = None) -> ResponseReturnValue:
    return render("desk/clerks.html", form, clerks=clerks.all_clerks(db.session()))


def _lock_all(tx: Transaction) -> None:
    """Lock all clerks; raises MissingRight if another admin took the right meanwhile."""
    clerks.lock_all(tx)
    if not current_user.clerk.admin:
        raise MissingRight(OF_ADMINS)


@bp.route("/neu", methods=["GET", "POST"])
@admin_only
@fresh_second_factor
def add() -> ResponseReturnValue:
    form = ClerkForm()

    def add_clerk(tx: Transaction) -> Clerk | None:
        link = clerks.add(tx, form.email.data or "", form.name.data or "", form.initials.data or "", form.admin.data)
        links.send(tx, link)
        return link.clerk

    if clerk := act(form, add_clerk, first=_lock_all):
        return redirect_in_place(".overview", f"{clerk.name} ist angelegt. Der erste Link geht an {clerk.email}.")
    return render("desk/new_clerk.html", form)


@bp.route("/<int(max=2147483647):clerk_id>", methods=["GET", "POST"])
@admin_only
@fresh_second_factor
def edit(clerk_id: int) -> ResponseReturnValue:
    clerk = db.get_or_404(Clerk, clerk_id)
    if clerk.id == current_user.clerk.id:
        return redirect_to("own_access.overview")
    form = EditForm(data={"name": clerk.name, "initials": clerk.initials, "admin": clerk.admin})

    def change(tx: Transaction) -> None:
        clerks.change(tx, clerk, current_user.clerk, form.name.data or "", form.initials.data or "", form.admin.data)

    act(form, change, first=_lock_all)
    if form.is_submitted() and not form.errors:
        return redirect_to(".overview", f"Der Zugang von {clerk.name} ist geändert.")
    return render("desk/edit_clerk.html", form, clerk=clerk)


@bp.route(
    "/<int(max=2147483647):clerk_id>/<any(link, sperren, entsperren, ausscheiden, zurueck):action>",
    methods=["GET", "POST"],
)
@admin_only
def change(clerk_id: int, action: str) -> ResponseReturnValue:
    """Change the access of a clerk; GET shows the question before it is taken away."""
    clerk, form = db.get_or_404(Clerk, clerk_id), ActionForm()
    if request.method != "POST" and action not in ASKED:
        return redirect_to(".overview")
    if action != "sperren":  # which must not wait
        require_second_factor(None if action in ASKED else url_for(".overview"))
    if request.method != "POST":
        return render("desk/clerk_question.html", clerk=clerk, action=action)
    service, notice = ACTIONS[action]
    act(form, lambda tx: service(tx, clerk, current_user.clerk), first=_lock_all)
    return overview(form) if form.errors else redirect_in_place(".overview", notice.format(clerk.name))
