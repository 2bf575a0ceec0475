"""Kein Zugriff mehr: a written request by form, after a puzzle or a code that proves the typed address.

Each branch is one form at one URL. The button names the step; all typed fields are sent and shown again at each step,
and nothing is stored before the last one.
"""

from datetime import UTC, date, datetime

from flask import Blueprint, abort, current_app, request, session
from flask.typing import ResponseReturnValue
from wtforms import BooleanField, HiddenField, StringField
from wtforms.validators import DataRequired

from kmzportal import mail_address
from kmzportal.dates import format_day
from kmzportal.db import db
from kmzportal.models import BRANCHES
from kmzportal.services import support
from kmzportal.services.transaction import Transaction, transaction
from kmzportal.web import cookie, robot_check
from kmzportal.web.auth import anyone, device_token, holder_of_source, source
from kmzportal.web.forms import data_field, mail_address_field, printable, text_area
from kmzportal.web.responses import redirect_to, render
from kmzportal.web.robot_check import PuzzleForm

bp = Blueprint("support", __name__, url_prefix="/kein-zugriff")

#: Keys of BRANCHES by the last part of their URL.
PATHS = {
    "keine-mail": "no_mail",
    "adresse-geaendert": "address_changed",
    "adresse-unbekannt": "address_unknown",
    "anderes": "other",
}
WITH_OLD_ADDRESS = {"no_mail", "address_changed"}
NO_MORE_CODES = (
    "Heute können wir an diese Adresse keinen Code mehr senden. Lösen Sie das Bilderrätsel, oder rufen Sie uns an."
)
WRONG_CODE = (
    "Dieser Code stimmt nicht. Er gehört zu der E-Mail-Adresse, an die er ging, und gilt eine Stunde. "
    "Oder lösen Sie das Bilderrätsel."
)
TOO_MANY = (
    "Im Augenblick kommen zu viele Anfragen. Ihre konnten wir nicht annehmen, Ihre Eingaben sind noch da. "
    "Versuchen Sie es in einer Stunde noch einmal, oder rufen Sie uns an:"
)


class SupportForm(PuzzleForm):
    first_name = data_field("first_name", "Geben Sie Ihren Vornamen ein.")
    last_name = data_field("last_name", "Geben Sie Ihren Nachnamen ein.")
    school = data_field("school", "Geben Sie Ihre Schule oder Einrichtung ein.")
    old_email = mail_address_field("Bisherige E-Mail-Adresse", "Geben Sie Ihre bisherige E-Mail-Adresse ein.")
    email = mail_address_field()
    phone = data_field("phone")
    message = text_area("Nachricht", rows=5)
    human = BooleanField(robot_check.TICK_LABEL)
    code = StringField(robot_check.CODE_LABEL)
    sent = HiddenField(filters=[printable])  #: Message-ID of the mail with the code

    def __init__(self, branch: str):
        super().__init__()
        self.branch = branch
        if branch not in WITH_OLD_ADDRESS:
            del self.old_email
        if branch == "address_changed":
            self.email.label.text = "Neue E-Mail-Adresse"
            self.email.validators = [DataRequired("Geben Sie Ihre neue E-Mail-Adresse ein."), *self.email.validators]
        if branch == "other":
            self.message.validators = [DataRequired("Schreiben Sie, was nicht geht."), *self.message.validators]
            self.message.flags.required = True

    def case_fields(self) -> dict[str, str]:
        """Return the fields of the case besides address and text."""
        return {
            "name": f"{self.first_name.data} {self.last_name.data}",
            "school": self.school.data or "",
            "phone": self.phone.data or "",
            "old_email": (self.old_email.data or "") if self.old_email else "",
            "new_email": (self.email.data or "") if self.branch == "address_changed" else "",
        }


@bp.get("")
@anyone
def start() -> ResponseReturnValue:
    return render("customer/support.html", branches={path: BRANCHES[branch] for path, branch in PATHS.items()})


@bp.route("/<branch>", methods=["GET", "POST"])
@anyone
def write(branch: str) -> ResponseReturnValue:
    """Show the form, and after its button the puzzle or the field of the code; the last step opens the case."""
    if branch not in PATHS:
        abort(404)
    form, step = SupportForm(PATHS[branch]), request.form.get("step", "tick")
    # What is shown if the form has errors.
    shown: str | None = {"solve": "puzzle", "enter": "code", "resend": "code"}.get(step, "tick")
    if form.validate_on_submit():
        try:
            shown = _take(step, form)
        except support.TooManyRequests:
            hours = current_app.config["OFFICE_HOURS"]
            form.form_errors.append(f"{TOO_MANY} {current_app.config['OFFICE_PHONE']}{hours and f' ({hours})'}.")
    if shown is None:
        return redirect_to(".sent")
    question, label = form.show_puzzle("support") if shown == "puzzle" else None, BRANCHES[form.branch]
    return render("customer/support_form.html", form, branch=branch, label=label, shown=shown, question=question)


def _take(step: str, form: SupportForm) -> str | None:
    """Do the step of the pressed button; return what to show: tick, puzzle, no_puzzle, code; None at the end."""
    if step in ("code", "resend"):
        return _send_code(form, again=step == "resend")
    if step == "enter":
        return None if _open_case(form, by_code=True) else "code"
    if step == "solve" and _open_case(form, by_code=False):
        return None
    if support.wrong_puzzles(db.session(), session["csrf_token"], datetime.now(UTC)) >= robot_check.PUZZLES:
        form.form_errors[:] = [robot_check.NO_PUZZLE_LEFT]
        return "no_puzzle"
    if step in ("puzzle", "solve") or form.human.data:
        form.puzzle.data = None  # brings a new one
        return "puzzle"
    form.human.errors = [robot_check.TICK_MISSING]
    return "tick"


def _send_code(form: SupportForm, again: bool) -> str:
    """Mail a code to the typed address, unless the one mailed there before is still valid; return what to show."""
    earlier = form.sent.data or ""
    with transaction("visitor", source(), device_token=device_token()) as tx:
        sent = support.send_code(tx, form.email.data or "", "" if again else earlier)
    if sent is None:
        form.form_errors.append(NO_MORE_CODES)
    form.sent.data = sent or earlier
    return "code" if form.sent.data else "tick"


def _open_case(form: SupportForm, by_code: bool) -> bool:
    """Open the case if puzzle or code are right, and store its number for the last page; else add an error.

    Raises TooManyRequests.
    """
    email, text, code = form.email.data or "", form.message.data or "", form.code.data or ""
    if by_code and (fault := robot_check.code_fault(code)):
        form.code.errors = [fault]
        return False
    proof = (form.sent.data if by_code else form.puzzle.data) or ""
    with transaction("visitor", source(), device_token=device_token()) as tx:
        right = support.check_code(tx, proof, email, code) if by_code else _solves(tx, form)
        promise = support.open_by_form(tx, proof, right, form.branch, email, text, by_code, form.case_fields())
        if promise:
            case = {"reference": promise.reference, "day": promise.day.isoformat()}
            cookie.keep(tx, cookie.CASE, case, email=mail_address.canonical(email))
    if promise:
        return True
    if by_code:
        form.code.errors = [WRONG_CODE]
    else:
        form.form_errors.append(robot_check.WRONG_TILES)
        form.puzzle.data = None  # brings a new one
    return False


def _solves(tx: Transaction, form: SupportForm) -> bool:
    """Return whether the answer is right. A wrong one is counted, before it is compared. Raises TooManyRequests."""
    support.ensure_within_limits(tx, "puzzle", support.PUZZLES_PER_CASE)
    left = support.count_puzzle(tx, session["csrf_token"]) <= robot_check.PUZZLES
    solved = form.solves(tx, "support") if left else None
    if solved is not False:
        support.count_puzzle(tx, session["csrf_token"], by=-1)
    return bool(solved)


@bp.get("/gesendet")
@anyone
def sent() -> ResponseReturnValue:
    case = cookie.kept(cookie.CASE)
    if not case:
        return redirect_to(".start")
    day = format_day(date.fromisoformat(case["day"]))
    return render("customer/support_sent.html", reference=case["reference"], day=day)


@bp.get("/bild/<token>")
@anyone
def picture(token: str) -> ResponseReturnValue:
    return robot_check.picture(token, holder_of_source(token)) or abort(404)
