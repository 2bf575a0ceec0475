"""Der Link zum Konto: from the mail to Fertig. Only a POST changes anything, only the last one redeems."""

import re

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue
from werkzeug.routing import PathConverter

from kmzportal.db import db
from kmzportal.models.account_link import AccountLink, LinkKind, LinkState
from kmzportal.models.customer import Customer
from kmzportal.services import accounts, links, passwords
from kmzportal.services.refusals import AddressTaken, ChangedMeanwhile, LinkUnusable, TooManyMails
from kmzportal.services.transaction import run_outside_transaction, transaction
from kmzportal.web import forms, link_visit
from kmzportal.web.auth import anyone, source
from kmzportal.web.forms import ActionForm, CustomerData, NewPassword, PortalForm
from kmzportal.web.link_visit import Visit, link_holder
from kmzportal.web.responses import redirect_in_place, redirect_to, render

bp = Blueprint("account_link", __name__)

TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
LANDINGS = {
    LinkKind.RECOVERY: ".password",
    LinkKind.CLERK_FIRST: "first_link.set_up",
    LinkKind.ADDRESS: "address.confirm",
    LinkKind.OBJECTION: "address.object_to",
    LinkKind.DESK: "robot_check.tick",
}


class NewPasswordForm(NewPassword, PortalForm):
    pass


class RegisterForm(CustomerData, NewPassword, PortalForm):
    first = tuple(Customer.DATA_FIELDS)


class Anything(PathConverter):
    """A path with whatever a mail program hangs on to it, line breaks too."""

    regex = r"[^/](?s:.)*?"


bp.record_once(lambda state: state.app.url_map.converters.update(anything=Anything))


@bp.get("/link/<anything:text>")
@anyone
def arrive(text: str) -> ResponseReturnValue:
    """Take the token out of the address bar; what mail programs hang on to it is cut off."""
    token = TOKEN.match(text)
    link = links.find(db.session(), token[0]) if token else None
    if link is None:
        answer = link_visit.link_not_found()
    else:
        link_visit.start(link)
        answer = redirect_to(".show", link_id=link.id)
    answer.headers["Referrer-Policy"] = "no-referrer"  # type: ignore[union-attr]
    return answer


@bp.get("/konto-link/<int:link_id>")
@link_holder(*LinkKind)
def show(link: AccountLink, visit: Visit) -> ResponseReturnValue:
    """Lead to the page on which this kind of link begins, or goes on after the robot check."""
    if visit.checked:
        return render("link/checked.html", link=link)
    return redirect_in_place(LANDINGS[LinkKind(link.kind)], link_id=link.id)


@bp.route("/konto-link/<int:link_id>/passwort", methods=["GET", "POST"])
@link_holder(LinkKind.RECOVERY)
def password(link: AccountLink, visit: Visit) -> ResponseReturnValue:
    form = NewPasswordForm()
    if form.validate_on_submit() and form.validate_new_password(link.holder):
        password_hash = run_outside_transaction(passwords.hash_password, form.new.data)
        with transaction(f"link:{link.id}", source()) as tx:
            links.mark_opened(tx, link)
            accounts.set_password_by_link(tx, link, visit.arrived, password_hash)
        return link_visit.finish(link)
    minimum = accounts.password_minimum(link.holder, current_app.config)
    return render("link/password.html", form, link=link, minimum=minimum)


@bp.route("/konto-link/<int:link_id>/konto", methods=["GET", "POST"])
@link_holder(LinkKind.DESK, checked=True)
def register(link: AccountLink, visit: Visit) -> ResponseReturnValue:
    """Step five and six of the hand-out: the data and a new password, then Registrieren."""
    form = RegisterForm(data=link.owner.data() | {"version": link.owner.version})
    form.offer_salutations(link.owner.salutation)
    if form.validate_on_submit() and form.validate_new_password(link.owner):
        password_hash = run_outside_transaction(passwords.hash_password, form.new.data)
        try:
            with transaction(f"link:{link.id}", source()) as tx:
                accounts.register(tx, link, visit.arrived, form.seen_version, form.customer_data(), password_hash)
        except AddressTaken:
            form.form_errors.append(link_visit.ADDRESS_TAKEN)
        except ChangedMeanwhile:
            form.add_conflict_error(link.owner)
        else:
            return link_visit.finish(link)
    if form.errors:
        form.add_emptied_error()
    minimum = accounts.password_minimum(link.owner, current_app.config)
    return render("link/register.html", form, link=link, minimum=minimum)


@bp.get("/konto-link/<int:link_id>/fertig")
@anyone
def done(link_id: int) -> ResponseReturnValue:
    link = db.session.get(AccountLink, link_id) if link_visit.find(link_id) else None
    if link is None or link.ended_as != LinkState.REDEEMED or link.clerk:
        return link_visit.link_not_found()
    return render("link/done.html", link=link)


@bp.post("/konto-link/<int:link_id>/erneuern")
@anyone
def renew(link_id: int) -> ResponseReturnValue:
    """Mail a fresh link to the address of the dead one; the page that offered it says so."""
    link = db.session.get(AccountLink, link_id) if link_visit.find(link_id) else None
    form = ActionForm()
    if link is None or not form.validate_on_submit():
        return link_visit.link_ended(link, form) if link else link_visit.link_not_found()
    try:
        with transaction(f"link:{link.id}", source()) as tx:
            forms.move_saved_input(link.id, links.renew(tx, link).id)
    except (LinkUnusable, TooManyMails):
        form.form_errors.append("Heute können wir keinen weiteren Link senden. Bitte rufen Sie uns an.")
        return link_visit.link_ended(link, form)
    return redirect_in_place(".show", "Ein neuer Link ist unterwegs an dieselbe Adresse.", link_id=link_id)


@bp.post("/konto-link/<int:link_id>/abbrechen")
@anyone
def cancel(link_id: int) -> ResponseReturnValue:
    """Forget the opened link in this browser; the link itself stays as it is."""
    form = ActionForm()
    if not form.validate_on_submit():
        return render("link/cancel.html", form, link={"id": link_id})
    link_visit.end(link_id)
    return redirect_to("login.login", "Sie haben abgebrochen. Nichts wurde geändert. Ihr Link gilt weiter.")
