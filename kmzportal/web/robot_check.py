"""The robot check of links and of written requests: a picture puzzle, or a code from a mail (WCAG 2.2, 3.3.8)."""

from datetime import UTC, datetime

from flask import Response, current_app
from wtforms import Field, Form, HiddenField, SelectMultipleField, ValidationError

from kmzportal.db import db
from kmzportal.robot_check.puzzle import Puzzles, PuzzleUnusable
from kmzportal.services import links
from kmzportal.services.shares import Holder, Shares
from kmzportal.services.tokens import CODE_LENGTH, is_code, normalize_code
from kmzportal.services.transaction import Transaction
from kmzportal.web.forms import PortalForm

TICK_LABEL = "Ich bin kein Roboter"
TICK_MISSING = "Setzen Sie bitte den Haken."
WRONG_TILES = "Das stimmt leider nicht. Hier ist ein neues Rätsel. Oder nehmen Sie den Code."
CODE_LABEL = "Code aus der E-Mail"
CODE_MISSING = "Geben Sie den Code aus der E-Mail ein."
PUZZLES = 5  # wrong ones in a visit; then only the code passes
NO_PUZZLE_LEFT = "Fünfmal passten die Bilder nicht. Nehmen Sie jetzt bitte den Code."

#: Drawing takes some 10 ms of CPU time. One picture of a holder may wait, and few in all: other pages need the threads.
_drawing = Shares(places=1, each=1, strangers=3, most=4)
KEPT = 64  # pictures of some 20 KB: the same one is drawn once in each process
_drawn: dict[tuple[str, ...], bytes] = {}


class PuzzleForm(PortalForm):
    puzzle = HiddenField()
    tiles = SelectMultipleField("Bilder", coerce=int, validate_choice=False)

    def show_new_puzzle(self, bound_to: str) -> str:
        """Put a new puzzle without an answer into the form and return its question."""
        new = puzzles().new(bound_to, datetime.now(UTC))
        self.puzzle.data, self.tiles.data = new.token, []
        return new.question

    def show_puzzle(self, bound_to: str) -> str:
        """Return the question of the puzzle in the form, with its answer kept, or of a new one if it is unusable."""
        try:
            return puzzles().open(self.puzzle.data or "", bound_to, datetime.now(UTC)).question
        except PuzzleUnusable:
            return self.show_new_puzzle(bound_to)

    def solves(self, tx: Transaction, bound_to: str) -> bool | None:
        """Return whether the answer is right; the puzzle is then used up. None if it was, or expired: not compared."""
        token, chosen = self.puzzle.data or "", set(self.tiles.data or [])
        try:
            solved = puzzles().solved_by(token, chosen, bound_to, datetime.now(UTC))
        except PuzzleUnusable:
            return None
        return solved if links.use_puzzle(tx, *puzzles().identity(token)) else None


def code_fault(typed: str) -> str | None:
    """Return what is wrong with the length of a typed code, or None."""
    if not typed:
        return CODE_MISSING
    if is_code(typed):
        return None
    short = len(normalize_code(typed)) < CODE_LENGTH
    return f"{'Es fehlen noch Zeichen' if short else 'Das sind zu viele Zeichen'}. Der Code hat {CODE_LENGTH} Zeichen."


def complete_code(_form: Form, field: Field) -> None:
    if fault := code_fault(field.data or ""):
        raise ValidationError(fault)


def puzzles() -> Puzzles:
    return Puzzles(current_app.config["SECRET_KEY"].encode())


def picture(token: str, holder: Holder) -> Response | None:
    """Return the picture of a puzzle, or None for a token that is forged or expired; raises TooBusy."""
    try:
        names = tuple(puzzles().pictures(token, datetime.now(UTC)))
    except PuzzleUnusable:
        return None
    db.session.commit()  # no connection is held while drawing
    from kmzportal.robot_check import drawing  # loads Pillow (4 MiB), which no other page needs

    drawn = _drawn.get(names)
    if drawn is None:
        with _drawing.turn(holder):
            drawn = _drawn[names] = _drawn.get(names) or drawing.draw(names)  # maybe drawn while this one waited
            if len(_drawn) > KEPT:
                del _drawn[next(iter(_drawn))]
    return Response(drawn, mimetype=drawing.MEDIA_TYPE)
