"""What was typed into a form whose session or visit had ended: kept in the signed cookie until its writer is back.

Never passwords; shown again only to the same person, on the same page, and not sent by itself.
"""

import json
import zlib

from flask import flash, g, request, session
from werkzeug.datastructures import MultiDict

from kmzportal.web.visitor import visitor

LONGEST = 1800  # bytes, packed as Flask packs the cookie; browsers drop cookies over 4 KiB
#: Secrets, what is out of date by then, and what nobody typed.
NEVER_KEPT = {"csrf_token", "current", "new", "repeat", "password", "code", "puzzle", "tiles", "human", "username"}


def keep(actor: str, path: str) -> None:
    """Keep the fields of this request for that person and page, if they are not too many."""
    fields = {name: texts for name, texts in request.form.lists() if name not in NEVER_KEPT}
    if fields:
        session.pop("kept_form", None)  # nothing older may come back in its place
    if fields and len(zlib.compress(json.dumps(fields).encode())) <= LONGEST:
        session["kept_form"] = {"actor": actor, "path": path, "fields": fields}


def hand_on(old: int, fresh: int) -> None:
    """Let what was typed on the pages of a link wait on those of the link that comes in its place."""
    if kept := session.get("kept_form"):
        session["kept_form"] = kept | {"path": kept["path"].replace(f"/konto-link/{old}/", f"/konto-link/{fresh}/")}


def entries() -> MultiDict[str, str] | None:
    """Return what the visitor typed on this page before; once, but to all forms of the page."""
    if "kept_form" not in g:
        g.kept_form = _take_back()
    taken: MultiDict[str, str] | None = g.kept_form
    return taken


def _take_back() -> MultiDict[str, str] | None:
    kept = session.get("kept_form")
    if not kept or kept["path"] != request.path:
        return None
    session.pop("kept_form")
    if request.method != "GET" or kept["actor"] != visitor.name:
        return None
    flash("Ihre Eingaben stehen wieder im Formular. Prüfen Sie sie und senden Sie das Formular noch einmal ab.", "form")
    return MultiDict(kept["fields"])
