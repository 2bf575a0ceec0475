"""A new mail address: confirmed from the new mailbox, objected to from the old one."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from kmzportal.models.account_link import AccountLink, LinkKind
from kmzportal.services import accounts, links
from kmzportal.services.refusals import AddressTaken
from kmzportal.services.transaction import transaction
from kmzportal.web import link_visit
from kmzportal.web.auth import source
from kmzportal.web.forms import ActionForm
from kmzportal.web.link_visit import Visit, link_holder
from kmzportal.web.responses import render

bp = Blueprint("address", __name__, url_prefix="/konto-link/<int:link_id>")


@bp.route("/adresse", methods=["GET", "POST"])
@link_holder(LinkKind.ADDRESS)
def confirm(link: AccountLink, visit: Visit) -> ResponseReturnValue:
    form = ActionForm()
    if form.validate_on_submit():
        try:
            with transaction(f"link:{link.id}", source()) as tx:
                links.mark_opened(tx, link)
                accounts.confirm_address(tx, link, visit.arrived)
        except AddressTaken:
            form.form_errors.append(link_visit.ADDRESS_TAKEN)
        else:
            return link_visit.finish(link)
    return render("link/confirm_address.html", form, link=link)


@bp.route("/widerspruch", methods=["GET", "POST"])
@link_holder(LinkKind.OBJECTION)
def object_to(link: AccountLink, visit: Visit) -> ResponseReturnValue:
    form = ActionForm()
    if form.validate_on_submit():
        with transaction(f"link:{link.id}", source()) as tx:
            links.mark_opened(tx, link)
            accounts.object_to_change(tx, link, visit.arrived)
        return link_visit.finish(link)
    return render("link/object_to_change.html", form, link=link)
