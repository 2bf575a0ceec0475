"""The robot check: a checkbox and a picture puzzle, or instead the code from the mail (WCAG 2.2, 3.3.8)."""

import threading
from datetime import UTC, datetime

from flask import Blueprint, Response, current_app
from flask.typing import ResponseReturnValue
from wtforms import BooleanField, HiddenField, SelectMultipleField, StringField
from wtforms.validators import InputRequired, Length

from kmzportal.db import db
from kmzportal.models import AccountLink, LinkKind
from kmzportal.robot_check.puzzle import Puzzles, PuzzleUnusable
from kmzportal.services import links
from kmzportal.web.forms import PortalForm
from kmzportal.web.link.visit import Visit, link_holder, link_not_found, link_transaction, mark_checked
from kmzportal.web.responses import redirect_in_place, render

bp = Blueprint("robot_check", __name__, url_prefix="/konto-link/<int:link_id>")

#: Drawing takes some 10 ms of CPU time; the limit leaves threads for other pages.
_drawing = threading.BoundedSemaphore(2)


class TickForm(PortalForm):
    human = BooleanField("Ich bin kein Roboter", [InputRequired("Setzen Sie bitte den Haken.")])


class PuzzleForm(PortalForm):
    puzzle = HiddenField()
    tiles = SelectMultipleField("Bilder", coerce=int, validate_choice=False)


class CodeForm(PortalForm):
    code = StringField(
        "Code aus der E-Mail",
        [InputRequired("Geben Sie den Code aus der E-Mail ein."), Length(max=40, message="Der Code hat 8 Zeichen.")],
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
        if _solved(link, form.puzzle.data or "", set(form.tiles.data or [])):
            return _passed(visit)
        form.form_errors.append("Das stimmt leider nicht. Hier ist ein neues Rätsel. Oder nehmen Sie den Code.")
    new = puzzles().new(f"link:{link.id}", datetime.now(UTC))
    form.puzzle.data, form.tiles.data = new.token, []
    return render("link/puzzle.html", form, link=link, question=new.question)


@bp.get("/bild/<token>")
@link_holder(LinkKind.DESK)
def picture(link: AccountLink, visit: Visit, token: str) -> ResponseReturnValue:
    try:
        names = puzzles().pictures(token, datetime.now(UTC))
    except PuzzleUnusable:
        return link_not_found()
    db.session.commit()  # no connection is held while drawing
    from kmzportal.robot_check import drawing  # loads Pillow (4 MiB), which no other page needs

    with _drawing:
        return Response(drawing.draw(names), mimetype=drawing.MEDIA_TYPE)


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


def _solved(link: AccountLink, token: str, chosen: set[int]) -> bool:
    """Return whether the answer is right and the first one to this puzzle."""
    try:
        solved = puzzles().solved_by(token, chosen, f"link:{link.id}", datetime.now(UTC))
    except PuzzleUnusable:
        return False
    with link_transaction(link) as tx:
        first = links.use_puzzle(tx, *puzzles().identity(token))
        tx.record("puzzle.solved" if first and solved else "puzzle.failed", link.holder)
    return first and solved


def puzzles() -> Puzzles:
    return Puzzles(current_app.config["SECRET_KEY"].encode())
