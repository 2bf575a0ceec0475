"""What was typed into a form whose session had ended: kept in the signed cookie until its writer is back.

Never passwords; shown again only to the same person, and not sent by itself.
"""

import json

from flask import request, session
from werkzeug.datastructures import MultiDict

LONGEST = 2000  # bytes; browsers drop cookies over 4 KiB
NEVER_KEPT = {"csrf_token", "current", "new", "repeat", "password"}


def keep(person_id: int) -> None:
    """Keep the fields of this request for that customer, if they are not too many."""
    fields = {name: text for name, text in request.form.items() if name not in NEVER_KEPT}
    if len(json.dumps(fields)) <= LONGEST:
        session["kept_form"] = {"person": person_id, "path": request.path, "fields": fields}


def take_back(person_id: int) -> MultiDict[str, str] | None:
    """Return what this customer typed for this page, once."""
    kept = session.get("kept_form")
    if not kept or kept["path"] != request.path:
        return None
    session.pop("kept_form")
    wanted = request.method == "GET" and kept["person"] == person_id  # what is sent now is newer
    return MultiDict(kept["fields"]) if wanted else None
