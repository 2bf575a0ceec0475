"""The pages a public office owes, and the addresses that other programs look for."""

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from flask import Blueprint, Flask, Response, abort, current_app, render_template, send_from_directory, url_for
from flask.typing import ResponseReturnValue

from kmzportal.services import office_pages
from kmzportal.web.auth import anyone
from kmzportal.web.responses import redirect_to

bp = Blueprint("legal", __name__)

PAPERS = "kmz_papers"
SECURITY_TXT_VALID = timedelta(days=180)  # RFC 9116, 2.5.5 wants less than a year
#: The header in light and in dark, for the browser's own frame.
THEME = {"light": "#f3f4f7", "dark": "#131525"}


def init_app(app: Flask) -> None:
    app.extensions[PAPERS] = office_pages.read(Path(app.instance_path), app.config)
    app.context_processor(lambda: {"theme": THEME, "video": _video()})


def paper(name: str) -> Response:
    """Show one of the pages; people look for them, so search engines may know them."""
    draft = name == "barrierefreiheit" and office_pages.is_draft(current_app.config)
    text = render_template("site/document.html", name=name, paper=current_app.extensions[PAPERS][name], draft=draft)
    return Response(text, headers={"X-Robots-Tag": "all"})


for name in office_pages.NAMES:
    bp.add_url_rule(f"/{name}", name, anyone(partial(paper, name)))


def _video() -> str | None:
    """Return where the video in sign language is, if there is one."""
    named = current_app.config["SIGN_LANGUAGE_VIDEO"]
    return named if "://" in named or not named else url_for("legal.sign_language")


@bp.get("/leichte-sprache/gebaerdensprache")
@anyone
def sign_language() -> ResponseReturnValue:
    """Send the operator's own video, in the pieces that browsers ask for."""
    named = current_app.config["SIGN_LANGUAGE_VIDEO"]
    if not named or "://" in named:
        abort(404)
    return send_from_directory(office_pages.own_folder(Path(current_app.instance_path)), named)


@bp.get("/.well-known/change-password")
@anyone
def change_password() -> ResponseReturnValue:
    """Where password managers send their owners."""
    return redirect_to("account.edit")


@bp.get("/.well-known/security.txt")
@anyone
def security_txt() -> Response:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    config = current_app.config
    lines = [
        f"Contact: mailto:{config['OFFICE_SUPPORT_EMAIL']}",
        f"Contact: tel:+49-{config['OFFICE_PHONE'].removeprefix('0').replace(' ', '-')}",
        f"Expires: {(today + SECURITY_TXT_VALID).isoformat()}",
        "Preferred-Languages: de, en",
        f"Canonical: {config['PUBLIC_URL']}{url_for('.security_txt')}",
    ]
    return Response("\n".join(lines) + "\n", mimetype="text/plain")


@bp.get("/robots.txt")
@anyone
def robots() -> Response:
    """Keep nobody out: who may not come in cannot read X-Robots-Tag, and lists a leaked address all the same."""
    return Response("User-agent: *\nDisallow:\n", mimetype="text/plain")


@bp.get("/favicon.ico")
@anyone
def favicon() -> ResponseReturnValue:
    return redirect_to("static", filename="favicon.ico")


@bp.get("/manifest.webmanifest")
@anyone
def manifest() -> Response:
    """What a telephone shows when somebody puts the portal on the home screen; there is no service worker."""
    content = {
        "name": current_app.config["OFFICE_NAME"],
        "short_name": "Medienkonto",
        "lang": "de",
        "start_url": "/",
        "display": "browser",
        "theme_color": THEME["light"],
        "background_color": "#ffffff",
        "icons": [
            {"src": url_for("static", filename=f"icons/portal-{size}.png"), "sizes": f"{size}x{size}"}
            for size in (192, 512)
        ],
    }
    return Response(json.dumps(content), mimetype="application/manifest+json")
