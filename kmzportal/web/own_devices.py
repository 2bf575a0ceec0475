"""Angemeldete and Bekannte Geräte of the user, for the pages of customers and of clerks."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from flask import abort, current_app
from flask.typing import ResponseReturnValue

from kmzportal.db import db
from kmzportal.services import accounts, devices
from kmzportal.services.tokens import token_hash
from kmzportal.services.transaction import Transaction
from kmzportal.web.auth import act, current_user, device_token
from kmzportal.web.forms import ActionForm
from kmzportal.web.responses import redirect_in_place

KNOWN_SHOWN = 10

#: A view that lists the devices, given a refused form.
Page = Callable[[ActionForm], ResponseReturnValue]


def listed() -> dict[str, Any]:
    """Return what the page of the devices shows, with this browser first in both lists."""
    person, current, here = current_user.person, current_user.login_session, token_hash(device_token())
    active = accounts.active_sessions(db.session(), person, datetime.now(UTC))
    known = sorted(devices.all_of(db.session(), person), key=lambda one: one.token_hash != here)
    return {
        "sessions": sorted(active, key=lambda one: one.id != current.id),
        "current": current,
        "known": known[:KNOWN_SHOWN],
        "more": len(known[KNOWN_SHOWN:]),
        "known_here": next((one.id for one in known if one.token_hash == here), None),
    }


def end_session(session_id: int, page: Page, endpoint: str) -> ResponseReturnValue:
    """Log out one of the user's devices and go back to the list; 404 for a session of others, or an ended one."""
    return _end(
        lambda tx: accounts.end_own_session(tx, current_user.person, session_id, _latest_login()),
        "Das Gerät ist abgemeldet.",
        page,
        endpoint,
    )


def forget(device_id: int, page: Page, endpoint: str) -> ResponseReturnValue:
    """End one of the user's known devices and go back to the list; 404 for a device of others."""
    return _end(
        lambda tx: accounts.forget_device(tx, current_user.person, device_id, _latest_login()),
        "Das Gerät ist nicht mehr bekannt.",
        page,
        endpoint,
    )


def end_others(page: Page, endpoint: str) -> ResponseReturnValue:
    """Log out all other devices of the user, forget them, and go back to the list."""

    def end(tx: Transaction) -> bool:
        accounts.end_other_sessions(tx, current_user.person, current_user.login_session, _latest_login())
        return True

    return _end(end, "Alle anderen Geräte sind abgemeldet.", page, endpoint)


def _latest_login() -> datetime:
    """Return the time of the latest login that this session can end: PROOF_LIFETIME after its own, or its last proof.

    Otherwise a stolen session could end each new one of its owner, who would never reach the button that ends it.
    """
    own_login = current_user.login_session.started_at
    lifetime = timedelta(seconds=current_app.config["PROOF_LIFETIME"])
    return cast(datetime, max(own_login, current_user.proved_at or own_login) + lifetime)


def _end(service: Callable[[Transaction], bool], notice: str, page: Page, endpoint: str) -> ResponseReturnValue:
    form = ActionForm()
    ended = act(form, service)
    if form.errors:
        return page(form)
    return redirect_in_place(endpoint, notice) if ended else abort(404)
