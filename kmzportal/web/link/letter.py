"""Zugangsbrief einlösen: Kundennummer and the code of a printed letter lead to the pages of a link."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from kmzportal.services import guesses, links, sessions
from kmzportal.services.transaction import transaction
from kmzportal.web import auth
from kmzportal.web.auth import anyone, source
from kmzportal.web.forms import PortalForm, text_field
from kmzportal.web.link import visit as visits
from kmzportal.web.responses import redirect_to, render

bp = Blueprint("letter", __name__)

WRONG = (
    "Kundennummer und Code passen nicht zusammen. Prüfen Sie beides. Haben Sie mehrere Briefe? Dann gilt nur der "
    "neueste. Nach mehreren Versuchen warten Sie bitte einige Minuten. Der Brief gilt trotzdem weiter."
)


class RedeemForm(PortalForm):
    number = text_field("Kundennummer", 50, missing="Geben Sie Ihre Kundennummer ein.")
    code = text_field("Code aus dem Zugangsbrief", 40, missing="Geben Sie den Code aus dem Zugangsbrief ein.")


@bp.route("/link", methods=["GET", "POST"], strict_slashes=False)
@anyone
def redeem() -> ResponseReturnValue:
    """The right code counts as the robot check. A letter that has ended leads to the page with the reason."""
    form = RedeemForm()
    if form.validate_on_submit():
        with transaction("visitor", source(), lock_now=False) as tx:
            slow = sessions.source_over_limit(tx) or guesses.counted_enough(tx.session, tx.now, source())
        if slow:
            auth.wait_for_slow_turn("letter")
        with transaction("visitor", source()) as tx:
            letter = links.find_letter(tx, form.number.data or "", form.code.data or "")
        if letter:
            ended = visits.begin(letter, checked=True)
            return redirect_to("link.show", visits.ENDED if ended else None, "info", link_id=letter.id)
        form.form_errors.append(WRONG)
    form.code.data = ""  # never sent back
    return render("link/letter.html", form)
