"""Anfragen: written requests and what clerks do about them; requests for a new password of the last days."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime

from flask import Blueprint, current_app, request
from flask.typing import ResponseReturnValue
from wtforms import SelectField, StringField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.validators import DataRequired, InputRequired

from kmzportal.dates import BERLIN
from kmzportal.db import db
from kmzportal.models import (
    BRANCHES,
    CHANNELS,
    CHOSEN_BY_CLERK,
    CLOSED_AS,
    ENTRIES,
    CaseState,
    Customer,
    SupportCase,
)
from kmzportal.services import desk, links, recovery, support, support_mail
from kmzportal.services.transaction import Transaction
from kmzportal.web.auth import act, clerk_only, current_user, page_key
from kmzportal.web.desk.customers import record_access
from kmzportal.web.forms import ActionForm, Filter, PortalForm, text_area
from kmzportal.web.responses import add_notice, redirect_in_place, redirect_to, render

bp = Blueprint("requests", __name__, url_prefix="/kundenservice")
CASE = "/anfragen/<int(max=2147483647):case_id>"
MAX_SKIPPED = 100_000

#: What became of a request for a new password, and the kind of its icon and colour.
OUTCOMES = {
    None: ("info", "wartet"),
    "sent": ("success", "Link gesendet"),
    "extra": ("success", "Link gesendet, trotz vieler E-Mails"),
    "unknown": ("danger", "Adresse unbekannt"),
    "locked": ("danger", "Konto gesperrt"),
    "capped": ("warning", "zu viele Anfragen, der Link davor gilt länger"),
}
CASE_STATES = {
    CaseState.OPEN: "offen",
    CaseState.WAITING: "wartet auf Antwort",
    CaseState.ANSWERED: "beantwortet",
    CaseState.CLOSED: "abgeschlossen",
}
#: States by their value in the URL.
STATES = {
    "offen": CaseState.OPEN,
    "wartet": CaseState.WAITING,
    "beantwortet": CaseState.ANSWERED,
    "abgeschlossen": CaseState.CLOSED,
}
#: Label and text of each template of a Rückfrage, by its name in the URL.
QUESTIONS = {
    "person": (
        "Wer sind Sie?",
        "Wir konnten Ihr Konto noch nicht finden. Schreiben Sie uns bitte Ihren Vornamen, Ihren Nachnamen und Ihre "
        "Schule. Wenn Sie sie kennen: auch Ihre Kundennummer und Ihre bisherige E-Mail-Adresse.",
    ),
    "rueckruf": (
        "Wann können wir anrufen?",
        "Bevor wir eine neue Adresse eintragen, rufen wir Sie an Ihrer Schule zurück. Wann sind Sie dort erreichbar?",
    ),
    "adresse": (
        "Welche Adresse gilt jetzt?",
        "An welche E-Mail-Adresse sollen wir den Link zum Konto senden? Nehmen Sie am besten Ihre dienstliche Adresse.",
    ),
}
#: German names of cases, for macros too, which do not see the context of a page.
NAMES = {
    "case_states": CASE_STATES,
    "closed_as": CLOSED_AS,
    "branches": BRANCHES,
    "channels": CHANNELS,
    "entry_kinds": ENTRIES,
    "shown_entries": support.shown_entries,
}
bp.record_once(lambda setup: setup.app.jinja_env.globals.update(NAMES))


@bp.app_template_filter()
def day_in_berlin(at: datetime) -> date:
    return at.astimezone(BERLIN).date()


class CaseFilter(Filter):
    number = StringField("Vorgangsnummer", name="nummer")
    state = SelectField(
        "Stand",
        name="stand",
        choices=[SelectChoice("", "nicht abgeschlossen")]
        + [SelectChoice(name, CASE_STATES[state]) for name, state in STATES.items()],
        default="",
    )


class QuestionForm(PortalForm):
    text = text_area("Text der Rückfrage", missing="Schreiben Sie, was Sie wissen möchten.")


class NoteForm(PortalForm):
    note = text_area("Text der Notiz", missing="Schreiben Sie die Notiz.")


class MergeForm(PortalForm):
    reference = StringField("Vorgangsnummer der anderen Anfrage", [DataRequired("Geben Sie die Vorgangsnummer ein.")])


class CloseForm(PortalForm):
    reason = SelectField(
        "Grund",
        [InputRequired("Wählen Sie einen Grund.")],
        choices=[SelectChoice(key, label) for key, label in {"": "bitte wählen", **CHOSEN_BY_CLERK}.items()],
    )


#: Form, service and notice of each act on a case, by its name in the URL. The fields are arguments of the service.
ACTS: dict[str, tuple[type[PortalForm], Callable[..., object], str]] = {
    "rueckfrage": (
        QuestionForm,
        desk.ask_back,
        "Die Rückfrage ist unterwegs. Bis zur Antwort ist die Frist ausgesetzt.",
    ),
    "notiz": (NoteForm, support.add_note, "Die Notiz ist gespeichert."),
    "zusammenfuehren": (
        MergeForm,
        desk.merge_case,
        "Die Anfragen sind zusammengeführt. Antworten kommen jetzt zur anderen.",
    ),
    "abschliessen": (CloseForm, desk.close_case, "Die Anfrage ist abgeschlossen."),
    "oeffnen": (ActionForm, desk.reopen_case, "Die Anfrage ist wieder offen."),
    "uebernehmen": (
        ActionForm,
        lambda tx, case: support.take(tx, case, current_user.clerk),
        "Die Anfrage ist jetzt in Ihrer Bearbeitung.",
    ),
    "freigeben": (ActionForm, lambda tx, case: support.take(tx, case, None), "Die Anfrage ist wieder frei."),
}
FREE_FOR_ALL = {"uebernehmen", "notiz"}  # also while another clerk works on the case


@bp.get("/anfragen")
@clerk_only
def overview() -> ResponseReturnValue:
    form, session, now = CaseFilter(request.args), db.session(), datetime.now(UTC)
    number, source = (form.number.data or "").strip(), request.args.get("quelle", "").replace("\0", "")[:50]
    before, skipped = page_key(), page_key("ab", MAX_SKIPPED) or 0
    cases: Sequence[SupportCase] = ()
    if number:
        found = recovery.find_by_reference(session, now, number)
        cases = [case for case in (support.find_by_reference(session, number),) if case]
    else:
        found = recovery.recent_requests(session, now, before, source)
        if not source and not before:
            states = (STATES[form.state.data],) if form.state.data in STATES else support.UNFINISHED
            cases = support.list_cases(session, states, skipped)
    shown, shown_cases = found[: recovery.REQUESTS_SHOWN], cases[: support.CASES_SHOWN]
    return render(
        "desk/requests.html",
        inbox=support_mail.inbox_outage(session, current_app.config),
        filter=form,
        number=number,
        source=source,
        proposals=desk.proposals(session) if not (number or source) else (),
        cases=shown_cases,
        later=skipped + len(shown_cases) if len(cases) > len(shown_cases) else None,
        probable=support.candidates(session, [case for case in shown_cases if not case.customer_id]),
        requests=shown,
        floods={} if number or source else recovery.floods(session, now),
        dropped={} if number or source else recovery.dropped(session, now),
        older=shown[-1].id if len(found) > len(shown) else None,
        meant=recovery.probably_meant(session, shown),
        outcomes=OUTCOMES,
        now=now,
    )


@bp.get(CASE)
@clerk_only
def case(case_id: int) -> ResponseReturnValue:
    return _screen(db.get_or_404(SupportCase, case_id))


def _screen(case: SupportCase, **refused: PortalForm) -> ResponseReturnValue:
    """Return the page of the case; `refused` is the form with errors, under the name of its act."""
    if case.customer:
        record_access(case.customer)  # the page shows what this customer wrote
    session, now = db.session(), datetime.now(UTC)
    forms = {name: form(formdata=None) for name, (form, _, _) in ACTS.items()} | refused
    if question := QUESTIONS.get(request.args.get("vorlage", "")):
        forms["rueckfrage"].text.data = question[1]
    return render(
        "desk/case.html",
        next(iter(refused.values()), None),
        case=case,
        candidates=support.candidates(session, [case])[case.id] or support.similar_names(session, case),
        owner=links.address_owner(session, case.new_email, now, other_than=case.customer) if case.new_email else None,
        questions=QUESTIONS,
        forms=forms,
        before=page_key(),
        now=now,
    )


@bp.post(f"{CASE}/zuordnen")
@clerk_only
def assign(case_id: int) -> ResponseReturnValue:
    """Assign the case to the customer `kunde` in the URL, and lead to the page where the clerk answers it."""
    case, form = db.get_or_404(SupportCase, case_id), ActionForm()
    customer_id = request.args.get("kunde", 0, type=int)
    customer = db.get_or_404(Customer, customer_id if 0 < customer_id < 2**31 else 0)
    _act(case, form, lambda tx: desk.assign_case(tx, case, customer, current_user.clerk))
    if form.errors:
        return _screen(case, zuordnen=form)
    add_notice(f"Die Anfrage {case.reference} ist zugeordnet.")  # inside the part that the next act replaces
    return redirect_to("customers.customer", customer_id=customer.id, anfrage=case.id)


@bp.post(f"{CASE}/<any({', '.join(ACTS)}):case_act>")
@clerk_only
def change(case_id: int, case_act: str) -> ResponseReturnValue:
    form_class, service, notice = ACTS[case_act]
    case, form = db.get_or_404(SupportCase, case_id), form_class()
    fields = {field.name: field.data for field in form if field.name != "csrf_token"}
    _act(case, form, lambda tx: service(tx, case, **fields), free_for_all=case_act in FREE_FOR_ALL)
    if form.errors:
        return _screen(case, **{case_act: form})
    return redirect_in_place(".case", notice, case_id=case.merged_into_id or case.id)


def _act(
    case: SupportCase, form: PortalForm, action: Callable[[Transaction], object], free_for_all: bool = False
) -> None:
    """Act on the case as it was shown, unless another clerk works on it; a refusal is added to `form.errors`."""

    def locked(tx: Transaction) -> None:
        support.lock(tx, case, request.args.get("stand", ""), None if free_for_all else current_user.clerk)
        action(tx)

    act(form, locked)
