"""Kunden: search, the page of a customer, and the actions of clerks on it."""

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, abort, current_app, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import BooleanField, Field, HiddenField, IntegerField, RadioField, SelectField, ValidationError
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.validators import InputRequired, Optional
from wtforms.widgets import HiddenInput

from kmzportal import mail_address
from kmzportal.dates import BERLIN, format_ago, format_soon, format_time
from kmzportal.db import db
from kmzportal.mail.compose import Email
from kmzportal.mail.previews import redacted_preview
from kmzportal.models import (
    IDENTITY_CHECKS,
    AccountLink,
    AddressProposal,
    Customer,
    CustomerAccess,
    LinkKind,
    LinkState,
    SupportCase,
)
from kmzportal.services import account_status, audit, desk, links, outbox, support
from kmzportal.services import search as customer_search
from kmzportal.services.refusals import ChangedMeanwhile
from kmzportal.services.transaction import Transaction, link_keys, transaction
from kmzportal.web.auth import act, background_poll, clerk_only, current_user, require_second_factor
from kmzportal.web.forms import ActionForm, CustomerForm, PortalForm, VersionedForm, mail_address_field, text_field
from kmzportal.web.responses import redirect_in_place, redirect_to, render, wants_fragment

bp = Blueprint("customers", __name__, url_prefix="/kundenservice")
bp.add_app_template_filter(format_ago)
bp.add_app_template_filter(format_soon)

CUSTOMER = "/kunden/<int(max=2147483647):customer_id>"
REASONS = ("Anruf", "E-Mail an den Kundenservice", "Persönlich", "E-Mail kam nicht an", "Sonstiges")
LOGINS = ("login.succeeded", "login.refused", "login.throttled", "password.refused")
LOGINS_SHOWN = 5
PROPOSED = (
    "Die neue Adresse wartet: Jemand anderes im Kundenservice muss sie bestätigen. Bis dahin wird nichts gesendet."
)
NO_SECOND = "Es wurde kein zweiter gesendet."
#: The service and the notice of each action, by its name in the URL.
LINK_ACTIONS = {
    "erneut": (desk.send_again, "Der Link ist noch einmal unterwegs an {}."),
    "zurueckziehen": (desk.withdraw_link, "Der {noun} an {} ist zurückgezogen und gilt nicht mehr."),
}
#: How the clerk has verified the identity (NIST SP 800-63B-4, 4.2.1).
CHECK = "Wie haben Sie die Person geprüft?"
NO_CHECK = "Wählen Sie aus, wie Sie die Person geprüft haben."
CHECKS = [SelectChoice(name, label) for name, label in IDENTITY_CHECKS.items()]


class IdentityForm(VersionedForm):
    check = RadioField(CHECK, [InputRequired(NO_CHECK)], choices=CHECKS)
    note = text_field("Anmerkung zur Prüfung", 200)

    def validate_note(self, note: Field) -> None:
        if self.check.data == "other" and not note.data:
            raise ValidationError("Schreiben Sie bei „Sonstiges“ dazu, wie Sie die Person geprüft haben.")


class CorrectForm(IdentityForm):
    email = mail_address_field("Neue E-Mail-Adresse", missing="Geben Sie die neue E-Mail-Adresse ein.")
    first = ("email",)


class DecisionForm(VersionedForm):
    email = HiddenField()  #: as the clerk saw it, for another one may be proposed now


class SendForm(PortalForm):
    why = SelectField("Anlass", choices=[SelectChoice(reason, reason) for reason in REASONS])
    #: id of the newest link when the page was shown, so that a double click sends one
    seen_link = IntegerField(validators=[Optional()], widget=HiddenInput())


class UnlockForm(PortalForm):
    reason = text_field("Grund", 200, missing="Geben Sie einen Grund an.")


class LockForm(UnlockForm):
    intruder = BooleanField("Die Person meldet, dass jemand anderes im Konto war. Das Passwort gilt dann nicht mehr.")


class UnlockAfterObjectionForm(UnlockForm):
    # Named unlike `check`, which is on the same page. Not the number, which whoever had the account has read there.
    unlock_check = RadioField(
        CHECK, [InputRequired(NO_CHECK)], choices=[one for one in CHECKS if one.value != "number"]
    )


def lock_form(customer: Customer, **how: Any) -> UnlockForm:
    if not customer.locked_at:
        return LockForm(**how)
    asks = desk.unlocking_needs_check(db.session(), customer, datetime.now(UTC))
    return (UnlockAfterObjectionForm if asks else UnlockForm)(**how)


class NewForm(CustomerForm):
    number = text_field("Kundennummer", 50, missing="Geben Sie eine Kundennummer ein.")
    email = mail_address_field(missing="Geben Sie die E-Mail-Adresse ein.")
    first = ("number", "email")


def current_case_id() -> int | None:
    """Return the id of the case that the clerk works on, from the URL."""
    case_id = request.args.get("anfrage", type=int)
    return case_id if case_id and 0 < case_id < 2**31 else None


@bp.url_defaults
def keep_case(_endpoint: str, values: dict[str, Any]) -> None:
    """Keep the case that the clerk works on in the URLs of a customer's page."""
    if "customer_id" in values and (case_id := current_case_id()):
        values.setdefault("anfrage", case_id)


def current_case() -> SupportCase | None:
    case_id = current_case_id()
    return db.session.get(SupportCase, case_id) if case_id else None


def shown_case() -> SupportCase | None:
    """Return the case that the clerk works on, for a page that shows it: so its customer was seen as well."""
    case = current_case()
    if case and case.customer:
        record_access(case.customer)
    return case


@bp.get(CUSTOMER)
@clerk_only
def customer(customer_id: int) -> ResponseReturnValue:
    return _screen(db.get_or_404(Customer, customer_id), email=request.args.get("neue-adresse"))


def record_access(customer: Customer) -> None:
    """Record who sees the data, once a clerk, customer and day; only the first time waits for the write lock."""
    row = {"customer_id": customer.id, "clerk_id": current_user.clerk.id, "day": datetime.now(BERLIN).date()}
    if request.method != "HEAD" and db.session.get(CustomerAccess, row) is None:
        with transaction(current_user.login_session.actor, initials=current_user.initials) as tx:
            desk.record_access(tx, customer)


@bp.get(f"{CUSTOMER}/vorschau")
@clerk_only
def preview(customer_id: int) -> ResponseReturnValue:
    """Return hints about the address typed so far: for htmx a part of the page, otherwise the whole page."""
    customer, email = db.get_or_404(Customer, customer_id), request.args.get("email")
    if wants_fragment():
        record_access(customer)
        return render("desk/_hints.html", customer=customer, case=shown_case(), **_hints(customer, email))
    return _screen(customer, email=email)


@bp.get(f"{CUSTOMER}/gesendet")
@clerk_only
@background_poll
def poll_sent_mail(customer_id: int) -> ResponseReturnValue:
    """Return what became of the mail with the newest link: for htmx a part of the page, otherwise the whole page."""
    customer = db.get_or_404(Customer, customer_id)
    if not wants_fragment():
        return _screen(customer)
    record_access(customer)
    return render("desk/_sent_mail.html", customer=customer, now=datetime.now(UTC), **_newest_link(customer))


def _screen(customer: Customer, email: str | None = None, **refused: PortalForm) -> ResponseReturnValue:
    """Return the page of the customer; `refused` is the form with errors, under its name in the template."""
    record_access(customer)
    session, now, case = db.session(), datetime.now(UTC), shown_case()
    mine = case is not None and case.customer_id == customer.id
    if case and mine and not email and mail_address.canonical(case.reply_to) != customer.email_canonical:
        email = case.reply_to
    newest = _newest_link(customer)
    forms: dict[str, PortalForm] = {
        "correct": CorrectForm(formdata=None, email=email, version=customer.version),
        "send": SendForm(formdata=None),
        "lock": lock_form(customer, formdata=None),
        **refused,
    }
    forms["send"]["seen_link"].data = newest["newest_link"].id if newest["newest_link"] else 0
    events = audit.history(session, customer)
    return render(
        "desk/customer.html",
        next(iter(refused.values()), None),
        customer=customer,
        identity_checks=IDENTITY_CHECKS,
        proposal=session.get(AddressProposal, customer.id),
        now=now,
        links=desk.recent_links(session, customer),
        mails=outbox.list_mails(session, customer=customer)[: outbox.MAILS_SHOWN],
        outage=outbox.mail_outage(session, now, current_app.config),
        status=account_status.find(session, link_keys(), current_app.config, customer, now),
        events=events,
        case=case,
        cases=support.of_customer(session, customer),
        answers=case.version if case and mine and not case.closed else None,  # the case that a sent link answers
        logins=[event for event in events if event.action in LOGINS][:LOGINS_SHOWN],
        previews=_previews(customer),
        **forms,
        **newest,
        **_hints(customer, forms["correct"]["email"].data),
    )


def _newest_link(customer: Customer) -> dict[str, Any]:
    """Return the newest link of the desk and the mail with it, None if there is none."""
    link = links.newest(db.session(), customer, LinkKind.DESK)
    return {"newest_link": link, "sent_mail": outbox.newest_mail(db.session(), link) if link else None}


def answer_case(tx: Transaction, customer: Customer) -> None:
    """Note on the case whose version is in the URL, if any, that the link was sent; a locked account got none."""
    case, version = current_case(), request.args.get("stand")
    if case and version and not customer.locked_at:
        support.lock(tx, case, version, current_user.clerk)
        support.answer_with_link(tx, case, customer)


def _previews(customer: Customer) -> dict[str, Email]:
    """Return the mails that the two acts send, without link and code."""
    now, initials = datetime.now(UTC), current_user.clerk.initials
    templates = {"desk_link": True, "address_corrected": True, "to new address": False}
    return {
        name: redacted_preview(name if known else "desk_link", customer, initials, current_app.config, now, known)
        for name, known in templates.items()
    }


def _hints(customer: Customer, typed: str | None) -> dict[str, Any]:
    """Return hints about the typed address; only None as `new` if it is no valid one."""
    session, now = db.session(), datetime.now(UTC)
    email = _parse(typed)
    if email is None:
        return {"new": None}
    return {
        "new": email,
        "owner": links.address_owner(session, email, now, other_than=customer),
        "meant": mail_address.suggest_correction(email),
        "lookalike": mail_address.lookalike(email, customer_search.known_domains(session, now)),
        "free_mail": mail_address.is_free_mail(email),
        "number_suffices": desk.number_suffices(session, customer, email),
        "objection": desk.objection_possible(session, customer, now),
    }


def _parse(typed: str | None) -> str | None:
    try:
        return mail_address.parse(typed or "")
    except mail_address.InvalidAddress:
        return None


@bp.post(f"{CUSTOMER}/adresse")
@clerk_only
def correct(customer_id: int) -> ResponseReturnValue:
    customer, form = db.get_or_404(Customer, customer_id), CorrectForm()

    def correct_address(tx: Transaction) -> bool:
        email, note = form.email.data or "", form.note.data or ""
        _limit_addresses(tx, email, customer)
        corrected = desk.correct_address(tx, customer, form.seen_version, email, form.check.data, note)
        if corrected:
            answer_case(tx, customer)
        return corrected

    corrected = None
    try:
        corrected = act(form, correct_address)
    except ChangedMeanwhile:
        sent = links.newest(db.session(), customer, LinkKind.DESK)
        if sent and sent.usable(datetime.now(UTC)) and sent.email == customer.pending_email == form.email.data:
            notice = f"Der Link zum Konto ist schon unterwegs an {sent.email}. {NO_SECOND}"
            return redirect_in_place(".customer", notice, customer_id=customer.id)
        form.add_conflict_error(customer)
    if form.errors:
        return _screen(customer, correct=form)
    notice = _corrected(customer, form.email.data or "") if corrected else PROPOSED
    return redirect_in_place(".customer", notice + _meant_hint(form.email.data or ""), customer_id=customer.id)


def _meant_hint(email: str) -> str:
    meant = mail_address.suggest_correction(email)
    return f" Prüfen Sie bitte: Meinten Sie {meant}?" if meant else ""


def _limit_addresses(tx: Transaction, email: str, customer: Customer | None = None) -> None:
    """Ask for the second factor above DESK_CORRECTIONS_PER_HOUR; in the transaction, so that many at once count.

    Also where the correction ends an objection, open or still possible, or the address was lately that of another
    customer: who stole a session must not do that.
    """
    objects = customer and desk.objection_pending(tx, customer)
    if desk.many_addresses(tx) or objects or desk.lately_of_other(tx, email, customer):
        require_second_factor(url_for(".customer", customer_id=customer.id) if customer else None)


def _corrected(customer: Customer, email: str) -> str:
    if customer.locked_at:
        return f"Jetzt gilt {email}, ohne Passwort. Entsperren Sie das Konto. Danach senden Sie den Link."
    return f"Der Link zum Konto ist unterwegs an {email}. Die alte Adresse wird benachrichtigt." + _outage_hint()


@bp.post(f"{CUSTOMER}/vorschlag/<any(bestaetigen, ablehnen):decision>")
@clerk_only
def decide(customer_id: int, decision: str) -> ResponseReturnValue:
    """Confirm or refuse the address that another clerk proposed."""
    customer, form = db.get_or_404(Customer, customer_id), DecisionForm()
    email, confirmed = form.email.data or "", decision == "bestaetigen"

    def decide(tx: Transaction) -> None:
        if confirmed:
            _limit_addresses(tx, email, customer)
        desk.decide_on_address(tx, customer, form.seen_version, email, confirmed)
        if confirmed:
            answer_case(tx, customer)

    try:
        act(form, decide)
    except ChangedMeanwhile:
        form.add_conflict_error(customer)
    if form.errors:
        return _screen(customer, decide=form)
    notice = _corrected(customer, email) if confirmed else f"Die vorgeschlagene Adresse {email} ist abgelehnt."
    return redirect_in_place(".customer", notice, customer_id=customer.id)


@bp.post(f"{CUSTOMER}/adresse-verwerfen")
@clerk_only
def withdraw_address(customer_id: int) -> ResponseReturnValue:
    customer, form = db.get_or_404(Customer, customer_id), ActionForm()
    act(form, lambda tx: desk.withdraw_address(tx, customer))
    if form.errors:
        return _screen(customer, withdraw=form)
    notice = "Die unbestätigte Adresse ist verworfen. Ein Link dorthin gilt nicht mehr."
    return redirect_in_place(".customer", notice, customer_id=customer.id)


@bp.post(f"{CUSTOMER}/link")
@clerk_only
def send(customer_id: int) -> ResponseReturnValue:
    customer, form = db.get_or_404(Customer, customer_id), SendForm()

    def send_link(tx: Transaction) -> str:
        if sent := desk.sent_meanwhile(tx, customer, form.seen_link.data):
            since = format_time(sent.issued_at)
            return f"Der Link zum Konto ist schon unterwegs an {sent.email}, seit {since}. {NO_SECOND}"
        ended = _ended_by_sending(links.newest(tx.session, customer, LinkKind.DESK), customer, tx.now)
        desk.send_link(tx, customer, form.why.data)
        answer_case(tx, customer)
        return f"Der Link zum Konto ist unterwegs an {customer.email}.{ended}"

    notice = act(form, send_link)
    if notice is None:
        return _screen(customer, send=form)
    return redirect_in_place(".customer", notice + _outage_hint(), customer_id=customer.id)


def _ended_by_sending(link: AccountLink | None, customer: Customer, now: datetime) -> str:
    """Return the sentence about what a new link will end, empty if nothing; `link` is the newest one before."""
    if link is None or link.ended_at:
        return ""
    if link.email == customer.pending_email:
        return f" Die Berichtigung auf {link.email} ist verworfen."
    opened = link.state(now) == LinkState.OPEN
    return f" Der Link von {format_time(link.issued_at)} gilt nicht mehr." if opened else ""


@bp.post(f"{CUSTOMER}/links/<int(max=9223372036854775807):link_id>/<any(erneut, zurueckziehen):link_action>")
@clerk_only
def change_link(customer_id: int, link_id: int, link_action: str) -> ResponseReturnValue:
    link, form = db.get_or_404(AccountLink, link_id), ActionForm()
    if link.customer is None or link.customer_id != customer_id:
        abort(404)
    service, notice = LINK_ACTIONS[link_action]
    act(form, lambda tx: service(tx, link))
    if form.errors:
        return _screen(link.customer, change_link=form)
    hint = _outage_hint() if link_action == "erneut" else ""
    return redirect_in_place(
        ".customer", notice.format(link.recipient, noun=link.policy.noun) + hint, customer_id=customer_id
    )


def _outage_hint() -> str:
    """Return the sentence to add to a notice about a mail; empty while mail is sent."""
    outage = outbox.mail_outage(db.session(), datetime.now(UTC), current_app.config)
    return " Der Mailversand ist gerade gestört: Die E-Mail wartet im Postausgang." if outage else ""


@bp.route("/kunden/neu", methods=["GET", "POST"])
@clerk_only
def create() -> ResponseReturnValue:
    form = NewForm()
    form.offer_salutations("")

    def create_customer(tx: Transaction) -> Customer:
        _limit_addresses(tx, form.email.data or "")
        return desk.create_customer(tx, form.number.data or "", form.email.data or "", form.customer_data())

    if customer := act(form, create_customer):
        notice = "Das Konto ist angelegt. Senden Sie jetzt den Link."
        return redirect_to(".customer", notice, customer_id=customer.id)
    email = _parse(form.email.data) if form.email.errors else None
    owner = links.address_owner(db.session(), email, datetime.now(UTC)) if email else None
    return render("desk/new_customer.html", form, owner=owner)


@bp.route(f"{CUSTOMER}/daten", methods=["GET", "POST"])
@clerk_only
def data(customer_id: int) -> ResponseReturnValue:
    customer = db.get_or_404(Customer, customer_id)
    form = CustomerForm(data=customer.data() | {"version": customer.version})
    record_access(customer)
    form.offer_salutations(customer.salutation)
    try:
        act(form, lambda tx: desk.correct_data(tx, customer, form.seen_version, form.customer_data()))
    except ChangedMeanwhile:
        form.add_conflict_error(customer)
    if request.method == "POST" and not form.errors:
        return redirect_to(".customer", "Die Daten sind gespeichert.", customer_id=customer.id)
    return render("desk/customer_data.html", form, customer=customer)


@bp.post(f"{CUSTOMER}/<any(sperren, entsperren):action>")
@clerk_only
def change_lock(customer_id: int, action: str) -> ResponseReturnValue:
    customer = db.get_or_404(Customer, customer_id)
    if action == "sperren":
        form = LockForm()
        notice = "Das Konto ist gesperrt. Alle Geräte sind abgemeldet, alle Links zurückgezogen."
        act(form, lambda tx: desk.lock(tx, customer, form.reason.data or "", bool(form.data.get("intruder"))))
    else:
        require_second_factor(url_for(".customer", customer_id=customer_id))
        form, notice = lock_form(customer), "Das Konto ist entsperrt."
        check = form.data.get("unlock_check", "")
        act(form, lambda tx: desk.unlock(tx, customer, form.reason.data or "", check))
        if not customer.password_hash:
            notice += " Es hat kein Passwort. Senden Sie jetzt den Link."
    if form.errors:
        return _screen(customer, lock=form)
    return redirect_in_place(".customer", notice, customer_id=customer_id)


@bp.post(f"{CUSTOMER}/gemeldet")
@clerk_only
def report_intruder(customer_id: int) -> ResponseReturnValue:
    customer, form = db.get_or_404(Customer, customer_id), ActionForm()
    act(form, lambda tx: desk.report_intruder(tx, customer))
    if form.errors:
        return _screen(customer, report=form)
    return redirect_in_place(
        ".customer", "Die Meldung ist vermerkt. Das Konto bleibt gesperrt.", customer_id=customer_id
    )
