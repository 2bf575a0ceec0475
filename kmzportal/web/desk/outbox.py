"""Postausgang: the state of each mail, and a button to send it again. The page polls its list."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, current_app, request
from flask.typing import ResponseReturnValue

from kmzportal.dates import format_short
from kmzportal.db import db
from kmzportal.mail.compose import subject_of
from kmzportal.models import MAIL_STATES, Customer, MailState, OutgoingMail
from kmzportal.services import outbox
from kmzportal.web.auth import act, background_poll, clerk_only, page_key
from kmzportal.web.desk.customers import record_access
from kmzportal.web.forms import ActionForm, Filter, choice_field
from kmzportal.web.responses import redirect_in_place, render

bp = Blueprint("outbox", __name__, url_prefix="/kundenservice")
for template_filter in (format_short, subject_of, outbox.mail_story, outbox.retry_refusal):
    bp.add_app_template_filter(template_filter)

CUSTOMER_MAILS = "/kunden/<int(max=2147483647):customer_id>/emails"
#: States by their value in the URL.
STATES = {
    "wartet": MailState.QUEUED,
    "spaeter": MailState.DEFERRED,
    "uebergeben": MailState.SENT,
    "abgelehnt": MailState.REFUSED,
    "zurueckgekommen": MailState.BOUNCED,
    "abgelaufen": MailState.EXPIRED,
    "nicht-gesendet": MailState.CANCELLED,
}
#: How a state looks: the kind of its icon and colour.
KINDS = {
    MailState.DEFERRED: "warning",
    MailState.SENT: "success",
    MailState.REFUSED: "danger",
    MailState.BOUNCED: "danger",
    MailState.EXPIRED: "danger",
}


@bp.app_template_filter()
def mail_kind(state: MailState) -> str:
    return KINDS.get(state, "info")


class OutboxFilter(Filter):
    state = choice_field("Zustand", "zustand", {name: MAIL_STATES[state] for name, state in STATES.items()})


@bp.get("/postausgang")
@clerk_only
def mails(form: ActionForm | None = None) -> ResponseReturnValue:
    chosen = OutboxFilter(request.args)
    name, before = chosen.state.data if chosen.state.data in STATES else None, page_key()
    found = outbox.list_mails(db.session(), STATES[name] if name else None, before)
    again = outbox.retryable_number(db.session(), datetime.now(UTC))
    return _render("desk/outbox.html", form, found, filter=chosen, state=name, before=before, again=again)


@bp.get("/postausgang/liste")
@clerk_only
@background_poll
def poll_mails() -> ResponseReturnValue:
    return mails()


@bp.get(CUSTOMER_MAILS)
@clerk_only
def customer_mails(customer_id: int, form: ActionForm | None = None) -> ResponseReturnValue:
    customer = db.get_or_404(Customer, customer_id)
    record_access(customer)
    found = outbox.list_mails(db.session(), customer=customer)
    return _render("desk/customer_mails.html", form, found, customer=customer)


@bp.get(f"{CUSTOMER_MAILS}/liste")
@clerk_only
@background_poll
def poll_customer_mails(customer_id: int) -> ResponseReturnValue:
    return customer_mails(customer_id)


@bp.post("/postausgang/<int(max=2147483647):mail_id>/erneut-senden")
@clerk_only
def send_again(mail_id: int) -> ResponseReturnValue:
    """Send one mail again, from the list of all mails or, with `kunde=1`, from that of its customer."""
    mail, form = db.get_or_404(OutgoingMail, mail_id), ActionForm()
    customer_id = mail.customer_id if "kunde" in request.args else None
    act(form, lambda tx: outbox.retry(tx, mail))
    if form.errors:
        return customer_mails(customer_id, form) if customer_id else mails(form)
    notice = f"Die E-Mail an {mail.recipient} wird gleich noch einmal gesendet."
    if customer_id:
        return redirect_in_place(".customer_mails", notice, customer_id=customer_id)
    return redirect_in_place(".mails", notice, zustand=request.args.get("zustand") or None)


@bp.post("/postausgang/alle-erneut-senden")
@clerk_only
def send_all_again() -> ResponseReturnValue:
    form = ActionForm()
    number = act(form, outbox.retry_all)
    if form.errors:
        return mails(form)
    sent = "Eine E-Mail wird" if number == 1 else f"{number} E-Mails werden"
    notice = f"{sent} gleich noch einmal gesendet." if number else "Es gibt nichts erneut zu senden."
    kind = "success" if number else "info"
    return redirect_in_place(".mails", notice, kind, zustand=request.args.get("zustand") or None)


def _render(
    template: str, form: ActionForm | None, found: Sequence[OutgoingMail], **context: Any
) -> ResponseReturnValue:
    now, shown = datetime.now(UTC), found[: outbox.MAILS_SHOWN]
    return render(
        template,
        form,
        mails=shown,
        older=shown[-1].id if len(found) > len(shown) else None,
        outage=outbox.mail_outage(db.session(), now, current_app.config),
        now=now,
        **context,
    )
