"""The robot check: a checkbox and a picture puzzle, or instead the code from the mail (WCAG 2.2, 3.3.8)."""

from flask import Blueprint
from flask.typing import ResponseReturnValue
from wtforms import BooleanField, StringField
from wtforms.validators import InputRequired, Length

from kmzportal.models import AccountLink, LinkKind
from kmzportal.services import links
from kmzportal.services.shares import Holder
from kmzportal.web import robot_check
from kmzportal.web.auth import background_poll
from kmzportal.web.forms import PortalForm
from kmzportal.web.link.visit import Visit, link_holder, link_not_found, link_transaction, mark_checked
from kmzportal.web.responses import redirect_in_place, render
from kmzportal.web.robot_check import PuzzleForm

bp = Blueprint("robot_check", __name__, url_prefix="/konto-link/<int:link_id>")


class TickForm(PortalForm):
    human = BooleanField(robot_check.TICK_LABEL, [InputRequired(robot_check.TICK_MISSING)])


class CodeForm(PortalForm):
    code = StringField(
        robot_check.CODE_LABEL,
        [InputRequired(robot_check.CODE_MISSING), Length(max=40, message=robot_check.CODE_TOO_LONG)],
    )


@bp.route("/roboter", methods=["GET", "POST"])
@link_holder(LinkKind.DESK)
def tick(link: AccountLink, visit: Visit) -> ResponseReturnValue:
    form = TickForm()
    if form.validate_on_submit():
        with link_transaction(link):
            pass  # marks the link as opened
        return redirect_in_place(".puzzle", link_id=link.id)
    return render("link/robot_check.html", form, link=link)


@bp.route("/raetsel", methods=["GET", "POST"])
@link_holder(LinkKind.DESK)
def puzzle(link: AccountLink, visit: Visit) -> ResponseReturnValue:
    """A wrong answer brings a new puzzle; the link stays valid."""
    form = PuzzleForm()
    if form.validate_on_submit():
        with link_transaction(link) as tx:
            solved = form.solves(tx, f"link:{link.id}")
            tx.record("puzzle.solved" if solved else "puzzle.failed", link.holder)
        if solved:
            return _passed(visit)
        form.form_errors.append(robot_check.WRONG_TILES)
    question = form.show_new_puzzle(f"link:{link.id}")
    return render("link/puzzle.html", form, link=link, question=question)


@bp.get("/bild/<token>")
@link_holder(LinkKind.DESK)
@background_poll
def picture(link: AccountLink, visit: Visit, token: str) -> ResponseReturnValue:
    """Sets no cookie: drawn late, the picture would arrive after the answer and undo that the check was passed."""
    return robot_check.picture(token, Holder(f"link:{link.id}", known=True)) or link_not_found()


@bp.route("/code", methods=["GET", "POST"])
@link_holder(LinkKind.DESK)
def code(link: AccountLink, visit: Visit) -> ResponseReturnValue:
    form = CodeForm()
    if form.validate_on_submit():
        with link_transaction(link) as tx:
            right = links.check_code(tx, link, form.code.data or "")
        if right:
            return _passed(visit)
        form.code.errors = ["Dieser Code stimmt nicht. Er steht in der E-Mail unter dem Link und hat 8 Zeichen."]
    return render("link/code.html", form, link=link)


def _passed(visit: Visit) -> ResponseReturnValue:
    mark_checked(visit)
    return redirect_in_place("link.show", link_id=visit.link_id)
