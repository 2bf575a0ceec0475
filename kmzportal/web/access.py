"""Who may come where: each view declares it once, and a view without a declaration fails the tests."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import abort

from kmzportal.domain.login_session import LoginSession
from kmzportal.web.pages import wants_fragment
from kmzportal.web.visitor import DOOR, STAFF_DOOR, login_manager, visitor

View = Callable[..., Any]


def quiet(view: View) -> View:
    """Declare that the page asks by itself, not its reader: it keeps no session alive (standards R094)."""
    view.quiet = True  # type: ignore[attr-defined]
    return view


def anyone(view: View) -> View:
    """Declare that the view is for everybody."""
    view.access = "anyone"  # type: ignore[attr-defined]
    return view


def _only(access: str, admits: Callable[[LoginSession], object], view: View, door: str = DOOR) -> View:
    """Let in whom the session admits, send strangers to log in at this door first, and everybody else away."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if not visitor.is_authenticated and getattr(view, "quiet", False) and wants_fragment():
            return "", 204  # nobody asked: what is being typed beside it must not be swept away
        if not visitor.is_authenticated:
            return login_manager.unauthorized()
        return view(*args, **kwargs) if admits(visitor.here) else abort(403)

    guarded.access = access  # type: ignore[attr-defined]
    guarded.door = door  # type: ignore[attr-defined]
    return guarded


def customer_only(view: View) -> View:
    return _only("customer", lambda here: here.customer, view)


def clerk_only(view: View) -> View:
    return _only("clerk", lambda here: here.clerk, view, STAFF_DOOR)


def admin_only(view: View) -> View:
    return _only("admin", lambda here: here.clerk and here.clerk.admin, view, STAFF_DOOR)
