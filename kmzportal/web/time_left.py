"""How long the session still lasts: the page asks by itself, and one click keeps it alive (standards R103)."""

from datetime import UTC, datetime

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from kmzportal.web.access import anyone, quiet
from kmzportal.web.pages import go, wants_fragment

bp = Blueprint("time_left", __name__, url_prefix="/sitzung")


@bp.app_template_filter()
def seconds_until(at: datetime) -> int:
    return int((at - datetime.now(UTC)).total_seconds())


@bp.get("")
@anyone
@quiet
def ask() -> ResponseReturnValue:
    return _fragment()


@bp.post("")
@anyone
def extend() -> ResponseReturnValue:
    """A request is all it takes, so there is nothing to do here."""
    return _fragment()


def _fragment() -> ResponseReturnValue:
    return render_template("time_left/_time_left.html") if wants_fragment() else go("login.start")
