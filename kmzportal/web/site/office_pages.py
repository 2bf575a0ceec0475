"""Hilfe, the legally required pages, and well-known URLs for programs."""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

from flask import Blueprint, Flask, Response, abort, current_app, render_template, send_from_directory, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wsgi import ClosingIterator

from kmzportal import phone, setting_types
from kmzportal.mail.compose import subject_of
from kmzportal.services import office_pages
from kmzportal.services.refusals import TooBusy
from kmzportal.web import responses
from kmzportal.web.auth import anyone
from kmzportal.web.responses import redirect_to
from kmzportal.web.site.markdown import parse

bp = Blueprint("office_pages", __name__)

#: Sent by a process at the same time: whoever reads slowly, or has paused, occupies a thread to the end of the video.
VIDEOS = 4
_videos = BoundedSemaphore(VIDEOS)
SECURITY_TXT_VALID = timedelta(days=180)  # RFC 9116, 2.5.5 wants less than a year
#: Colours of the page header, for the browser's address bar.
THEME = {"light": "#f3f4f7", "dark": "#1d2034"}


def init_app(app: Flask) -> None:
    texts = office_pages.read(Path(app.instance_path), app.config)
    site = _site(app.config)
    documents = {name: parse(text, name == "leichte-sprache", site) for name, text in texts.items()}
    app.extensions["office_pages"] = documents
    file = app.config["OFFICE_LOGO"]
    app.extensions["office_logo"] = logo = setting_types.logo(Path(app.instance_path) / file) if file else None
    app.context_processor(lambda: {"theme": THEME, "video": _video(), "logo": logo})


def office_page(name: str) -> Response:
    """Return one of the pages. Search engines may list them."""
    draft = name == "barrierefreiheit" and office_pages.is_draft(current_app.config)
    document = current_app.extensions["office_pages"][name]
    text = render_template("site/document.html", name=name, document=document, draft=draft)
    return Response(text, headers={"X-Robots-Tag": "all"})


for name in office_pages.NAMES:
    bp.add_url_rule(f"/{name}", name, anyone(partial(office_page, name)))


def _video() -> str | None:
    video = current_app.config["SIGN_LANGUAGE_VIDEO"]
    return video if "://" in video or not video else url_for("office_pages.sign_language")


@bp.get("/leichte-sprache/gebaerdensprache")
@anyone
def sign_language() -> ResponseReturnValue:
    """Send the operator's own video; browsers request parts of it (RFC 9110, 14). Raises TooBusy."""
    video = current_app.config["SIGN_LANGUAGE_VIDEO"]
    if not video or "://" in video:
        abort(404)
    if not _videos.acquire(blocking=False):
        raise TooBusy
    with ExitStack() as turn:
        turn.callback(_videos.release)
        response = send_from_directory(office_pages.own_folder(Path(current_app.instance_path)), video)
        response.response = ClosingIterator(response.response, turn.pop_all().close)  # type: ignore[arg-type]
    return response


@bp.get("/hilfe/handreichung")
@anyone
def handout() -> Response:
    """Two A4 pages to print: the steps with pictures of the pages, which `make screenshots` takes."""
    return _page_for_paper("handreichung", link_subject=subject_of("desk_link"))


@bp.get("/hilfe/zettel")
@anyone
def slip() -> Response:
    """One A5 page to hand over."""
    return _page_for_paper("zettel")


def _page_for_paper(name: str, **context: str) -> Response:
    text = render_template(f"site/{name}.html", site=_site(current_app.config), **context)
    return Response(text, headers={"X-Robots-Tag": "all"})


def _site(config: Mapping[str, Any]) -> str:
    """Return the portal's address as people type it."""
    return str(config["PUBLIC_URL"]).partition("://")[2]


@bp.get("/hilfe/qr-code")
@anyone
def qr_code() -> Response:
    return responses.qr_code(f"{current_app.config['PUBLIC_URL']}{url_for('login.login')}")


@bp.get("/logo")
@anyone
def logo() -> Response:
    """Send the office's logo; the URL in pages names its content, so that browsers may keep it."""
    picture = current_app.extensions["office_logo"]
    if not picture:
        abort(404)
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(picture.content, mimetype=picture.mimetype, headers=headers)


@bp.get("/.well-known/change-password")
@anyone
def change_password() -> ResponseReturnValue:
    """The URL that password managers open (W3C: A Well-Known URL for Changing Passwords)."""
    return redirect_to("account.edit")


@bp.get("/.well-known/security.txt")
@anyone
def security_txt() -> Response:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    config = current_app.config
    lines = [
        f"Contact: mailto:{config['OFFICE_SUPPORT_EMAIL']}",
        f"Contact: {phone.uri(config['OFFICE_PHONE'])}",
        f"Expires: {(today + SECURITY_TXT_VALID).isoformat()}",
        "Preferred-Languages: de, en",
        f"Canonical: {config['PUBLIC_URL']}{url_for('.security_txt')}",
    ]
    return Response("\n".join(lines) + "\n", mimetype="text/plain")


@bp.get("/robots.txt")
@anyone
def robots() -> Response:
    """Allow all pages: a crawler has to fetch a page to read its X-Robots-Tag (RFC 9309)."""
    return Response("User-agent: *\nDisallow:\n", mimetype="text/plain")


@bp.get("/favicon.ico")
@anyone
def favicon() -> ResponseReturnValue:
    return redirect_to("static", filename="favicon.ico")


@bp.get("/manifest.webmanifest")
@anyone
def manifest() -> Response:
    """Name and icon for home screens (W3C Web Application Manifest)."""
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
