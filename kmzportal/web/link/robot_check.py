"""The robot check: a checkbox and a picture puzzle, or instead the code from the mail (WCAG 2.2, 3.3.8)."""

from flask import Blueprint
from flask.typing import ResponseReturnValue
from wtforms import BooleanField, StringField
from wtforms.validators import InputRequired

from kmzportal.models import AccountLink, LinkKind, LinkVisit
from kmzportal.services import links
from kmzportal.services.shares import Holder
from kmzportal.web import robot_check
from kmzportal.web.auth import background_poll
from kmzportal.web.forms import PortalForm
from kmzportal.web.link.visit import link_holder, link_not_found, link_transaction
from kmzportal.web.responses import redirect_in_place, render
from kmzportal.web.robot_check import NO_PUZZLE_LEFT, PUZZLES, PuzzleForm

WRONG_CODE = "Dieser Code stimmt nicht."

bp = Blueprint("robot_check", __name__, url_prefix="/konto-link/<int:link_id>")


class TickForm(PortalForm):
    human = BooleanField(robot_check.TICK_LABEL, [InputRequired(robot_check.TICK_MISSING)])


class CodeForm(PortalForm):
    code = StringField(
        robot_check.CODE_LABEL,
        [InputRequired(robot_check.CODE_MISSING), robot_check.complete_code],
    )


@bp.route("/roboter", methods=["GET", "POST"])
@link_holder(LinkKind.DESK, checked=False)
def tick(link: AccountLink, visit: LinkVisit) -> ResponseReturnValue:
    form = TickForm()
    if form.validate_on_submit():
        with link_transaction(link):
            pass  # marks the link as opened
        return redirect_in_place(".puzzle", link_id=link.id)
    return render("link/robot_check.html", form, link=link)


@bp.route("/raetsel", methods=["GET", "POST"])
@link_holder(LinkKind.DESK, checked=False)
def puzzle(link: AccountLink, visit: LinkVisit) -> ResponseReturnValue:
    """A wrong answer brings a new puzzle, and after PUZZLES of a visit the code; the link stays valid."""
    form = PuzzleForm()
    if form.validate_on_submit():
        with link_transaction(link) as tx:
            tx.lock(link.holder)  # one answer after another
            left = visit.wrong_puzzles < PUZZLES
            solved = form.solves(tx, f"link:{link.id}") if left else None
            if solved is False:
                visit.wrong_puzzles += 1
            if solved or (solved is False and visit.wrong_puzzles == 1):  # one record a visit
                tx.record("puzzle.solved" if solved else "puzzle.failed", link.holder)
            visit.checked = visit.checked or bool(solved)
        if solved:
            return redirect_in_place("link.show", link_id=link.id)
        form.form_errors.append(robot_check.WRONG_TILES)
    if visit.wrong_puzzles >= PUZZLES:
        return redirect_in_place(".code", NO_PUZZLE_LEFT, "info", link_id=link.id)
    question = form.show_new_puzzle(f"link:{link.id}")
    return render("link/puzzle.html", form, link=link, question=question)


@bp.get("/bild/<token>")
@link_holder(LinkKind.DESK)
@background_poll
def picture(link: AccountLink, visit: LinkVisit, token: str) -> ResponseReturnValue:
    return robot_check.picture(token, Holder(f"link:{link.id}", known=True)) or link_not_found()


@bp.route("/code", methods=["GET", "POST"])
@link_holder(LinkKind.DESK, checked=False)
def code(link: AccountLink, visit: LinkVisit) -> ResponseReturnValue:
    form = CodeForm()
    if form.validate_on_submit():
        with link_transaction(link) as tx:
            tx.lock(link.holder)
            visit.checked = visit.checked or links.check_code(tx, link, form.code.data or "")
        if visit.checked:
            return redirect_in_place("link.show", link_id=link.id)
        if link.code_used_up:
            form.form_errors.append(WRONG_CODE)
        else:
            form.code.errors = [f"{WRONG_CODE} Er steht in der E-Mail unter dem Link. {_tries_left(link)}"]
    puzzle_left = visit.wrong_puzzles < PUZZLES
    return render("link/code.html", form, link=link, puzzle_left=puzzle_left, tries_left=_tries_left(link))


def _tries_left(link: AccountLink) -> str:
    left = link.code_tries_left
    return f"Sie haben noch {left} {'Versuch' if left == 1 else 'Versuche'}."
