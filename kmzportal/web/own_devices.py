"""Angemeldete and Bekannte Geräte of the user, for the pages of customers and of clerks."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

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


def proof_due() -> bool:
    """Return whether to ask for a proof first: the session neither began nor proved itself within PROOF_LIFETIME.

    A stolen one could else end each new session of its owner, or forget her device, so that failures of strangers
    count for her.
    """
    lifetime = current_app.config["PROOF_LIFETIME"]
    return not (current_user.logged_in_within(lifetime) or current_user.proved_within(lifetime))


def end_session(session_id: int, page: Page, endpoint: str) -> ResponseReturnValue:
    """Log out one of the user's devices and go back to the list; 404 for a session of others, or an ended one."""
    return _end(
        lambda tx: accounts.end_own_session(tx, current_user.person, session_id),
        "Das Gerät ist abgemeldet.",
        page,
        endpoint,
    )


def forget(device_id: int, page: Page, endpoint: str) -> ResponseReturnValue:
    """End one of the user's known devices and go back to the list; 404 for a device of others."""
    return _end(
        lambda tx: devices.end(tx, current_user.person, device_id),
        "Das Gerät ist nicht mehr bekannt.",
        page,
        endpoint,
    )


def end_others(page: Page, endpoint: str) -> ResponseReturnValue:
    """Log out all other devices of the user, forget them, and go back to the list."""

    def end(tx: Transaction) -> bool:
        accounts.end_other_sessions(tx, current_user.person, current_user.login_session)
        return True

    return _end(end, "Alle anderen Geräte sind abgemeldet.", page, endpoint)


def _end(service: Callable[[Transaction], bool], notice: str, page: Page, endpoint: str) -> ResponseReturnValue:
    form = ActionForm()
    ended = act(form, service)
    if form.errors:
        return page(form)
    return redirect_in_place(endpoint, notice) if ended else abort(404)
