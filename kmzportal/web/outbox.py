"""Der Postausgang: what became of each mail, and one click to send it again. Its list renews itself."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, abort, current_app, request
from flask.typing import ResponseReturnValue

from kmzportal.dates import format_short
from kmzportal.db import db
from kmzportal.mail.compose import subject_of
from kmzportal.models.customer import Customer
from kmzportal.models.outgoing_mail import MAIL_STATES, MailState, OutgoingMail
from kmzportal.services import outbox
from kmzportal.services.outbox import mail_outage, mail_story
from kmzportal.web.auth import background_poll, clerk_only, user_transaction
from kmzportal.web.forms import ActionForm, Filter, choice_field
from kmzportal.web.responses import page_key, redirect_in_place, render

bp = Blueprint("outbox", __name__, url_prefix="/kundenservice")
for words in (format_short, mail_story, subject_of, outbox.retry_refusal):
    bp.add_app_template_filter(words)

#: The states as they stand in the address of the page.
STATES = {
    "wartet": MailState.QUEUED,
    "spaeter": MailState.DEFERRED,
    "uebergeben": MailState.SENT,
    "abgelehnt": MailState.REFUSED,
    "zurueckgekommen": MailState.BOUNCED,
    "abgelaufen": MailState.EXPIRED,
    "nicht-gesendet": MailState.CANCELLED,
}


class OutboxFilter(Filter):
    state = choice_field("Zustand", "zustand", {name: MAIL_STATES[state] for name, state in STATES.items()})


@bp.get("/postausgang")
@clerk_only
def mails() -> ResponseReturnValue:
    return _all(ActionForm(formdata=None))


@bp.get("/postausgang/liste")
@clerk_only
@background_poll
def renewed() -> ResponseReturnValue:
    return _all(ActionForm(formdata=None))


@bp.get("/kunden/<int(max=2147483647):customer_id>/emails")
@clerk_only
def of_customer(customer_id: int) -> ResponseReturnValue:
    return _of_customer(customer_id, ActionForm(formdata=None))


@bp.get("/kunden/<int(max=2147483647):customer_id>/emails/liste")
@clerk_only
@background_poll
def renewed_of_customer(customer_id: int) -> ResponseReturnValue:
    return _of_customer(customer_id, ActionForm(formdata=None))


@bp.post("/postausgang/<int(max=2147483647):mail_id>/erneut-senden")
@clerk_only
def send_again(mail_id: int) -> ResponseReturnValue:
    """Send one mail again, from the list of all or from that of its customer (`kunde=1`)."""
    form = ActionForm()
    mail = outbox.find_mail(db.session(), mail_id) or abort(404)
    from_customer = mail.customer_id if "kunde" in request.args else None
    if form.validate_on_submit():
        try:
            with user_transaction() as tx:
                outbox.retry(tx, outbox.find_mail(tx.session, mail_id) or abort(404))
        except outbox.RetryRefused as refusal:
            form.form_errors.append(refusal.message)
        else:
            notice = f"Die E-Mail an {mail.recipient} geht gleich noch einmal hinaus."
            return _back(notice, from_customer)
    return _of_customer(from_customer, form) if from_customer else _all(form)


@bp.post("/postausgang/alle-erneut-senden")
@clerk_only
def send_all_again() -> ResponseReturnValue:
    form = ActionForm()
    if not form.validate_on_submit():
        return _all(form)
    with user_transaction() as tx:
        number = outbox.retry_all(tx)
    return _back(f"{number} E-Mails gehen gleich noch einmal hinaus." if number else "Es gibt nichts erneut zu senden.")


def _back(notice: str, customer_id: int | None = None) -> ResponseReturnValue:
    if customer_id:
        return redirect_in_place(".of_customer", notice, customer_id=customer_id)
    return redirect_in_place(".mails", notice, zustand=request.args.get("zustand") or None)


def _all(form: ActionForm) -> ResponseReturnValue:
    """All mails, or those of one state, from the wanted key on."""
    chosen, now = OutboxFilter(request.args), datetime.now(UTC)
    state = STATES.get(chosen.state.data or "")
    return render(
        "desk/outbox.html",
        form,
        filter=chosen,
        state=chosen.state.data if state else None,
        before=page_key(),
        **_listed(outbox.list_mails(db.session(), state, page_key()), now),
    )


def _of_customer(customer_id: int, form: ActionForm) -> ResponseReturnValue:
    customer, now = db.get_or_404(Customer, customer_id), datetime.now(UTC)
    shown = _listed(outbox.list_mails(db.session(), customer=customer), now)
    return render("desk/customer_mails.html", form, customer=customer, **shown)


def _listed(found: Sequence[OutgoingMail], now: datetime) -> dict[str, Any]:
    older = found[outbox.MAILS_SHOWN - 1].id if len(found) > outbox.MAILS_SHOWN else None
    disturbed = mail_outage(db.session(), now, current_app.config)
    return {"mails": found[: outbox.MAILS_SHOWN], "older": older, "now": now, "disturbed": disturbed}
