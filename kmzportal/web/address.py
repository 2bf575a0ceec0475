"""A new mail address: confirmed from the new mailbox, objected to from the old one."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from kmzportal.domain.account_link import AccountLink, LinkKind
from kmzportal.domain.refusals import AddressTaken
from kmzportal.services import account_link as link_deeds
from kmzportal.services import address as deeds
from kmzportal.unit_of_work import unit_of_work
from kmzportal.web import link_visit
from kmzportal.web.fields import Button
from kmzportal.web.link_visit import Visit, link_holder
from kmzportal.web.origin import source
from kmzportal.web.pages import page

bp = Blueprint("address", __name__, url_prefix="/konto-link/<int:link_id>")


@bp.route("/adresse", methods=["GET", "POST"])
@link_holder(LinkKind.ADDRESS)
def confirm(link: AccountLink, visit: Visit) -> ResponseReturnValue:
    form = Button()
    if form.validate_on_submit():
        try:
            with unit_of_work(f"link:{link.id}", source()) as work:
                link_deeds.open_link(work, link)
                deeds.confirm(work, link, visit.arrived)
        except AddressTaken:
            form.form_errors.append(link_visit.TAKEN)
        else:
            return link_visit.finish(link)
    return page("address/confirm.html", "address/_confirm_form.html", form, link=link)


@bp.route("/widerspruch", methods=["GET", "POST"])
@link_holder(LinkKind.OBJECTION)
def object_to(link: AccountLink, visit: Visit) -> ResponseReturnValue:
    form = Button()
    if form.validate_on_submit():
        with unit_of_work(f"link:{link.id}", source()) as work:
            link_deeds.open_link(work, link)
            deeds.object_to(work, link, visit.arrived)
        return link_visit.finish(link)
    return page("address/object_to.html", "address/_object_to_form.html", form, link=link)
