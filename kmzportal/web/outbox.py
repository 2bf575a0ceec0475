"""Der Postausgang: what became of each mail, and one click to send it again. Its list renews itself."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, abort, current_app, request
from flask.typing import ResponseReturnValue

from kmzportal.db import db
from kmzportal.domain.customer import Customer
from kmzportal.domain.outgoing_mail import MailState, OutgoingMail
from kmzportal.german import MAIL_STATES, clock, mail_story
from kmzportal.mail.compose import subject
from kmzportal.services import outbox_desk as deeds
from kmzportal.services.disturbance import disturbance
from kmzportal.web.access import clerk_only, quiet
from kmzportal.web.fields import Button, Filter, choice_field
from kmzportal.web.pages import key, page, stay
from kmzportal.web.visitor import visitors_work

bp = Blueprint("outbox", __name__, url_prefix="/kundenservice")
for words in (clock, mail_story, subject, deeds.why_not_again):
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
    return _all(Button(formdata=None))


@bp.get("/postausgang/liste")
@clerk_only
@quiet
def renewed() -> ResponseReturnValue:
    return _all(Button(formdata=None))


@bp.get("/kunden/<int(max=2147483647):customer_id>/emails")
@clerk_only
def of_customer(customer_id: int) -> ResponseReturnValue:
    return _of_customer(customer_id, Button(formdata=None))


@bp.get("/kunden/<int(max=2147483647):customer_id>/emails/liste")
@clerk_only
@quiet
def renewed_of_customer(customer_id: int) -> ResponseReturnValue:
    return _of_customer(customer_id, Button(formdata=None))


@bp.post("/postausgang/<int(max=2147483647):mail_id>/erneut-senden")
@clerk_only
def send_again(mail_id: int) -> ResponseReturnValue:
    """Send one mail again, from the list of all or from that of its customer (`kunde=1`)."""
    form = Button()
    mail = deeds.find(db.session(), mail_id) or abort(404)
    from_customer = mail.customer_id if "kunde" in request.args else None
    if form.validate_on_submit():
        try:
            with visitors_work() as work:
                deeds.retry(work, deeds.find(work.session, mail_id) or abort(404))
        except deeds.NotAgain as refusal:
            form.form_errors.append(refusal.reason)
        else:
            notice = f"Die E-Mail an {mail.recipient} geht gleich noch einmal hinaus."
            return _back(notice, from_customer)
    return _of_customer(from_customer, form) if from_customer else _all(form)


@bp.post("/postausgang/alle-erneut-senden")
@clerk_only
def send_all_again() -> ResponseReturnValue:
    form = Button()
    if not form.validate_on_submit():
        return _all(form)
    with visitors_work() as work:
        number = deeds.retry_all(work)
    return _back(f"{number} E-Mails gehen gleich noch einmal hinaus." if number else "Es gibt nichts erneut zu senden.")


def _back(notice: str, customer_id: int | None = None) -> ResponseReturnValue:
    if customer_id:
        return stay(".of_customer", notice, customer_id=customer_id)
    return stay(".mails", notice, zustand=request.args.get("zustand") or None)


def _all(form: Button) -> ResponseReturnValue:
    """All mails, or those of one state, from the wanted key on."""
    chosen, now = OutboxFilter(request.args), datetime.now(UTC)
    state = STATES.get(chosen.state.data or "")
    return page(
        "outbox/mails.html",
        "outbox/_outbox.html",
        form,
        filter=chosen,
        state=chosen.state.data if state else None,
        before=key(),
        **_listed(deeds.mails(db.session(), state, key()), now),
    )


def _of_customer(customer_id: int, form: Button) -> ResponseReturnValue:
    customer, now = db.get_or_404(Customer, customer_id), datetime.now(UTC)
    shown = _listed(deeds.mails(db.session(), customer=customer), now)
    return page("outbox/customer.html", "outbox/_customer.html", form, customer=customer, **shown)


def _listed(found: Sequence[OutgoingMail], now: datetime) -> dict[str, Any]:
    older = found[deeds.SHOWN - 1].id if len(found) > deeds.SHOWN else None
    disturbed = disturbance(db.session(), now, current_app.config)
    return {"mails": found[: deeds.SHOWN], "older": older, "now": now, "disturbed": disturbed}
