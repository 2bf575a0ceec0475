"""Der Link zum Konto: from the mail to Fertig. Only a POST changes anything, only the last one redeems."""

import re

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue
from werkzeug.routing import PathConverter

from kmzportal.db import db
from kmzportal.domain import passwords
from kmzportal.domain.account_link import AccountLink, LinkKind, LinkState
from kmzportal.domain.customer import Customer
from kmzportal.domain.refusals import AddressTaken, ChangedMeanwhile, LinkUnusable, TooManyMails
from kmzportal.services import account as account_deeds
from kmzportal.services import account_link as deeds
from kmzportal.services import password as password_deeds
from kmzportal.unit_of_work import outside_transaction, unit_of_work
from kmzportal.web import kept_form, link_visit
from kmzportal.web.access import anyone
from kmzportal.web.customer_data import CustomerData
from kmzportal.web.fields import Button, NewPassword, PortalForm
from kmzportal.web.link_visit import Visit, link_holder
from kmzportal.web.origin import source
from kmzportal.web.pages import go, page, stay

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
    first = tuple(Customer.DATA)


class Anything(PathConverter):
    """A path with whatever a mail program hangs on to it, line breaks too."""

    regex = r"[^/](?s:.)*?"


bp.record_once(lambda state: state.app.url_map.converters.update(anything=Anything))


@bp.get("/link/<anything:text>")
@anyone
def arrive(text: str) -> ResponseReturnValue:
    """Take the token out of the address bar; what mail programs hang on to it is cut off."""
    token = TOKEN.match(text)
    link = deeds.find(db.session(), token[0]) if token else None
    if link is None:
        answer = link_visit.lost()
    else:
        link_visit.begin(link)
        answer = go(".show", link_id=link.id)
    answer.headers["Referrer-Policy"] = "no-referrer"  # type: ignore[union-attr]
    return answer


@bp.get("/konto-link/<int:link_id>")
@link_holder(*LinkKind)
def show(link: AccountLink, visit: Visit) -> ResponseReturnValue:
    """Lead to the page on which this kind of link begins, or goes on after the robot check."""
    if visit.checked:
        return page("account_link/checked.html", "account_link/_checked.html", link=link)
    return stay(LANDINGS[LinkKind(link.kind)], link_id=link.id)


@bp.route("/konto-link/<int:link_id>/passwort", methods=["GET", "POST"])
@link_holder(LinkKind.RECOVERY)
def password(link: AccountLink, visit: Visit) -> ResponseReturnValue:
    form = NewPasswordForm()
    if form.validate_on_submit() and form.suits(link.holder):
        password_hash = outside_transaction(passwords.hash_password, form.new.data)
        with unit_of_work(f"link:{link.id}", source()) as work:
            deeds.open_link(work, link)
            password_deeds.set_by_link(work, link, visit.arrived, password_hash)
        return link_visit.finish(link)
    minimum = password_deeds.minimum(link.holder, current_app.config)
    return page("account_link/password.html", "account_link/_password_form.html", form, link=link, minimum=minimum)


@bp.route("/konto-link/<int:link_id>/konto", methods=["GET", "POST"])
@link_holder(LinkKind.DESK, checked=True)
def register(link: AccountLink, visit: Visit) -> ResponseReturnValue:
    """Step five and six of the hand-out: the data and a new password, then Registrieren."""
    form = RegisterForm(data=link.owner.data() | {"version": link.owner.version})
    form.offer_salutations(link.owner.salutation)
    if form.validate_on_submit() and form.suits(link.owner):
        password_hash = outside_transaction(passwords.hash_password, form.new.data)
        try:
            with unit_of_work(f"link:{link.id}", source()) as work:
                account_deeds.register(work, link, visit.arrived, form.seen, form.customer_data(), password_hash)
        except AddressTaken:
            form.form_errors.append(link_visit.TAKEN)
        except ChangedMeanwhile:
            form.say_changed(link.owner)
        else:
            return link_visit.finish(link)
    if form.errors:
        form.say_emptied()
    minimum = password_deeds.minimum(link.owner, current_app.config)
    return page("account_link/register.html", "account_link/_register_form.html", form, link=link, minimum=minimum)


@bp.get("/konto-link/<int:link_id>/fertig")
@anyone
def done(link_id: int) -> ResponseReturnValue:
    link = db.session.get(AccountLink, link_id) if link_visit.find(link_id) else None
    if link is None or link.ended_as != LinkState.REDEEMED or link.clerk:
        return link_visit.lost()
    return page("account_link/done.html", "account_link/_done.html", link=link)


@bp.post("/konto-link/<int:link_id>/erneuern")
@anyone
def renew(link_id: int) -> ResponseReturnValue:
    """Mail a fresh link to the address of the dead one; the page that offered it says so."""
    link = db.session.get(AccountLink, link_id) if link_visit.find(link_id) else None
    form = Button()
    if link is None or not form.validate_on_submit():
        return link_visit.dead(link, form) if link else link_visit.lost()
    try:
        with unit_of_work(f"link:{link.id}", source()) as work:
            kept_form.hand_on(link.id, deeds.renew(work, link).id)
    except (LinkUnusable, TooManyMails):
        form.form_errors.append("Heute können wir keinen weiteren Link senden. Bitte rufen Sie uns an.")
        return link_visit.dead(link, form)
    return stay(".show", "Ein neuer Link ist unterwegs an dieselbe Adresse.", link_id=link_id)


@bp.post("/konto-link/<int:link_id>/abbrechen")
@anyone
def cancel(link_id: int) -> ResponseReturnValue:
    """Forget the opened link in this browser; the link itself stays as it is."""
    form = Button()
    if not form.validate_on_submit():
        return page("account_link/cancel.html", "account_link/_cancel.html", form, link={"id": link_id})
    link_visit.leave(link_id)
    return go("login.login", "Sie haben abgebrochen. Nichts wurde geändert. Ihr Link gilt weiter.")
