"""The desk's links: an address corrected and the link sent to it, a link sent, sent again, withdrawn."""

from collections.abc import Callable
from datetime import UTC, datetime

from flask import Blueprint, abort, current_app
from flask.typing import ResponseReturnValue

from kmzportal import mail_address
from kmzportal.db import db
from kmzportal.models.account_link import AccountLink
from kmzportal.models.customer import Customer
from kmzportal.services import desk
from kmzportal.services.outbox import mail_outage
from kmzportal.services.refusals import (
    AccountLocked,
    AddressTaken,
    ChangedMeanwhile,
    LinkUnusable,
    Refusal,
    TooManyMails,
)
from kmzportal.web.auth import clerk_only, current_user, user_transaction
from kmzportal.web.desk_screen import CorrectForm, SendForm, customer_or_404, screen
from kmzportal.web.forms import ActionForm, PortalForm
from kmzportal.web.responses import redirect_in_place

bp = Blueprint("desk_links", __name__, url_prefix="/kundenservice/kunden/<int(max=2147483647):customer_id>")

#: What a clerk is told instead of a deed; the same words wherever it happens.
REFUSED: dict[type[Refusal], str] = {
    desk.SameAddress: "Diese Adresse gilt schon. Nehmen Sie „Link senden“.",
    AddressTaken: "Diese Adresse gehört schon zu einem anderen Konto. Den Link dorthin finden Sie beim Formular.",
    TooManyMails: "An diese Adresse gingen heute schon zu viele E-Mails. Versuchen Sie es morgen, oder rufen Sie an.",
    LinkUnusable: "Dieser Link gilt nicht mehr. Senden Sie einen neuen.",
    AccountLocked: "Das Konto ist gesperrt. Entsperren Sie es zuerst.",
}


@bp.post("/adresse")
@clerk_only
def correct(customer_id: int) -> ResponseReturnValue:
    """Adresse berichtigen und Link senden: one act, one transaction."""
    customer, form = customer_or_404(customer_id), CorrectForm()
    try:
        if form.validate_on_submit() and _explained(form) and _done(form, desk.correct_address, customer, *form.typed):
            return _back(customer, _corrected(customer, form))
    except ChangedMeanwhile:
        form.add_conflict_error(customer)
    return screen(customer, correct=form)


def _corrected(customer: Customer, form: CorrectForm) -> str:
    email = form.email.data or ""
    meant = mail_address.suggest_correction(email)
    hint = f" Prüfen Sie bitte: Meinten Sie {meant}?" if meant else ""
    if customer.locked_at:
        return f"Jetzt gilt {email}, ohne Passwort. Entsperren Sie das Konto. Danach senden Sie den Link.{hint}"
    return f"Der Link zum Konto ist unterwegs an {email}. Die alte Adresse wird benachrichtigt.{hint}"


def _explained(form: CorrectForm) -> bool:
    if form.check.data == "other" and not form.note.data:
        form.note.errors = ["Schreiben Sie bei „Sonstiges“ dazu, wie Sie geprüft haben, wer fragt."]
    return not form.note.errors


def _done(form: PortalForm, action: Callable[..., object], *what: object) -> bool:
    """Whether the deed is done; if it was refused, the reason stands in the form."""
    try:
        with user_transaction() as tx:
            action(tx, *what)
    except tuple(REFUSED) as refusal:
        if "email" in form and not isinstance(refusal, AccountLocked):
            form["email"].errors = [REFUSED[type(refusal)]]
        else:
            form.form_errors.append(REFUSED[type(refusal)])
    return not form.errors


@bp.post("/link")
@clerk_only
def send(customer_id: int) -> ResponseReturnValue:
    customer, form = customer_or_404(customer_id), SendForm()
    if form.validate_on_submit() and _done(form, desk.send_link, customer, current_user.clerk.initials, form.why.data):
        return _back(customer, f"Der Link zum Konto ist unterwegs an {customer.email}.")
    return screen(customer, send=form)


@bp.post("/links/<int(max=2147483647):link_id>/erneut")
@clerk_only
def send_again(customer_id: int, link_id: int) -> ResponseReturnValue:
    return _on_link(customer_id, link_id, desk.send_again, "Der Link ist noch einmal unterwegs an {}.")


@bp.post("/links/<int(max=2147483647):link_id>/zurueckziehen")
@clerk_only
def withdraw(customer_id: int, link_id: int) -> ResponseReturnValue:
    return _on_link(
        customer_id, link_id, desk.withdraw_link, "Der Link an {} ist zurückgezogen und öffnet nichts mehr."
    )


def _on_link(customer_id: int, link_id: int, action: Callable[..., object], notice: str) -> ResponseReturnValue:
    customer, form = customer_or_404(customer_id), ActionForm()
    link = db.session.get(AccountLink, link_id)
    if link is None or link.customer_id != customer.id:
        abort(404)
    if form.validate_on_submit() and _done(form, action, link):
        return _back(customer, notice.format(link.email))
    return screen(customer, link=form)


def _back(customer: Customer, notice: str) -> ResponseReturnValue:
    disturbed = mail_outage(db.session(), datetime.now(UTC), current_app.config)
    waits = " Der Mailversand ist gerade gestört: Die E-Mail wartet im Postausgang." if disturbed else ""
    return redirect_in_place("desk.customer", notice + waits, customer_id=customer.id)
