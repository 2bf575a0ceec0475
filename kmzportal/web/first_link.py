"""A clerk's first link: password and second factor on one page, then ten codes for paper."""

import io
import secrets

import segno
from flask import Blueprint, Response, current_app, session
from flask.typing import ResponseReturnValue
from wtforms import StringField
from wtforms.validators import Length

from kmzportal.db import db
from kmzportal.models.account_link import AccountLink, LinkKind, LinkState
from kmzportal.services import accounts, clerks, links, passwords
from kmzportal.services.refusals import WrongCode
from kmzportal.services.second_factor import SecondFactor
from kmzportal.services.transaction import link_keys, run_outside_transaction, transaction
from kmzportal.web import link_visit
from kmzportal.web.auth import anyone, source
from kmzportal.web.forms import NewPassword, PortalForm
from kmzportal.web.link_visit import Visit, link_holder
from kmzportal.web.responses import render

bp = Blueprint("first_link", __name__, url_prefix="/konto-link/<int:link_id>/zugang")

WRONG = "Dieser Code passt nicht. Geben Sie den Code ein, den die App jetzt für diesen Zugang zeigt."
MISSING = "Geben Sie den Code aus der App ein. Ohne zweiten Faktor kommen Sie nicht in den Kundenservice."


class AccessForm(NewPassword, PortalForm):
    code = StringField("Code aus der App", [Length(max=40, message="Der Code hat 6 Ziffern.")])


@bp.route("", methods=["GET", "POST"])
@link_holder(LinkKind.CLERK_FIRST)
def set_up(link: AccountLink, visit: Visit) -> ResponseReturnValue:
    """One form and one POST for all of it; until then nothing is kept, and what was before still counts."""
    form = AccessForm()
    if form.validate_on_submit() and form.validate_new_password(link.holder):
        password_hash = run_outside_transaction(passwords.hash_password, form.new.data)
        try:
            with transaction(f"link:{link.id}", source()) as tx:
                links.mark_opened(tx, link)
                clerks.use_first_link(tx, link, visit.arrived, password_hash, _nonce(link.id), form.code.data or "")
        except WrongCode:
            form.code.errors = [WRONG if form.code.data else MISSING]
        else:
            return link_visit.finish(link)
    if form.errors:
        form.add_emptied_error()
    return render(
        "link/clerk_access.html",
        form,
        link=link,
        minimum=accounts.password_minimum(link.holder, current_app.config),
        factor=_factor(link.id),
        uri=_uri(link),
        required=current_app.config["STAFF_SECOND_FACTOR"] != "offered",
    )


@bp.get("/qr.svg")
@link_holder(LinkKind.CLERK_FIRST)
def qr_code(link: AccountLink, visit: Visit) -> ResponseReturnValue:
    picture = io.BytesIO()
    segno.make(_uri(link), error="m").save(picture, "svg", light="white", scale=4)
    return Response(picture.getvalue(), mimetype="image/svg+xml")


@bp.get("/fertig")
@anyone
def done(link_id: int) -> ResponseReturnValue:
    """The codes for paper are shown only in the browser that has just set them up, and until it logs in."""
    link = db.session.get(AccountLink, link_id) if link_visit.find(link_id) else None
    if link is None or link.clerk is None or link.ended_as != LinkState.REDEEMED:
        return link_visit.link_not_found()
    mine = link.clerk.factor_nonce and link.clerk.factor_nonce == _nonce(link_id)
    codes = _factor(link_id).recovery_codes if mine else []
    return render("link/clerk_done.html", codes=codes)


def _nonce(link_id: int) -> str:
    """Return the nonce of the factor that is offered here. Each browser has its own, in the signed cookie.

    Whoever else opened the link, a mail scanner for one, has seen another secret.
    """
    kept = session.get("factor")
    if not kept or kept[0] != link_id:
        kept = session["factor"] = [link_id, secrets.token_urlsafe(32)]
    return str(kept[1])


def _factor(link_id: int) -> SecondFactor:
    return SecondFactor(link_keys(), _nonce(link_id))


def _uri(link: AccountLink) -> str:
    return _factor(link.id).uri(link.email, current_app.config["OFFICE_NAME"])
