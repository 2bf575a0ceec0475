"""Responses as pages or fragments, and their headers and cookie. The only module that uses htmx's headers."""

import gzip
import io
import re
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import segno
from flask import (
    Flask,
    Response,
    current_app,
    flash,
    g,
    get_flashed_messages,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_login import current_user
from flask_wtf import CSRFProtect
from markupsafe import Markup, escape
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.urls import iri_to_uri
from werkzeug.wrappers import Response as AnyResponse

from kmzportal import dates, mail_address, phone, settings
from kmzportal.db import db
from kmzportal.logs import request_id
from kmzportal.services import history, kept_entries
from kmzportal.services.transaction import transaction

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

QUOTES, BLANKS = re.compile('"'), re.compile(r"[ \t]{2,}")
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "media-src 'self'; manifest-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    # With no-referrer browsers send forms with `Origin: null` (Fetch standard, 3.2).
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
HSTS = "max-age=31536000"  # of this host alone: other sites of the office may have no https (RFC 6797, 6.1.2)
MAX_WHOLE = 24  # characters that fit on one line of a screen with 320 px
csrf = CSRFProtect()  # provides csrf_token() to templates; forms validate it, see FormCSRF


def qr_code(text: str) -> Response:
    """Return a picture of the text for cameras, as SVG with its light frame."""
    svg = io.BytesIO()
    segno.make(text, error="m").save(svg, "svg", light="white", scale=4)
    return Response(svg.getvalue(), mimetype="image/svg+xml")


def init_app(app: Flask) -> None:
    secure = urlsplit(app.config["PUBLIC_URL"]).scheme == "https"
    # __Host- prevents other subdomains from setting the cookie; browsers require https (RFC 6265bis, 4.1.3.2).
    cookie = "__Host-kmzportal" if secure else "kmzportal"
    app.config.update(
        SESSION_COOKIE_NAME=cookie,
        DEVICE_COOKIE_NAME=f"{cookie}-device",  # see services/devices.py
        SESSION_COOKIE_SECURE=secure,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",  # with Strict the cookie is not sent after a click in a mail (OWASP ASVS 3.3.2)
        MAX_CONTENT_LENGTH=64 * 1024,
        MAX_FORM_MEMORY_SIZE=64 * 1024,
        MAX_FORM_PARTS=100,
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_TIME_LIMIT=None,  # a token is valid as long as its session (OWASP CSRF Prevention Cheat Sheet)
        WTF_CSRF_SSL_STRICT=False,  # auth.refuse_other_sites checks Sec-Fetch-Site and Origin
        WTF_I18N_ENABLED=False,
    )
    hops = app.config["PROXY_HOPS"]
    if hops:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=0)  # type: ignore[method-assign]
    app.wsgi_app = _harmless_headers(app.wsgi_app)  # type: ignore[method-assign, assignment]
    app.after_request(_compress)
    app.after_request(_add_headers)
    app.jinja_env.filters.update(format_datetime=dates.format_datetime, format_time=dates.format_time)
    app.jinja_env.filters["phone_uri"] = phone.uri
    app.jinja_env.filters.update(breakable=breakable, by_day=history.by_day, format_day=dates.format_day)
    app.jinja_env.filters["spelled_out"] = mail_address.spelled_out
    app.jinja_env.globals.update(
        office=settings.office(app.config),
        catalogue=settings.catalogue(app.config),
        demo=app.config.get("DEMO", False),
        notices_of=_notices,
    )


def _harmless_headers(wsgi_app: "WSGIApplication") -> "WSGIApplication":
    """Change what a stranger may send and Werkzeug does not bear, and what no browser and no proxy sends.

    X-Forwarded-For without quotation marks: from a list with one that is not closed ProxyFix takes no address. So who
    sends one, and whose proxy appends his address to it, would be this machine, for which no limit by source holds.
    Cookie with single blanks: a cookie of n blanks takes n * n steps, during which all threads of the process wait.
    """

    def wrapped(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        for name, unfit, instead in (("HTTP_X_FORWARDED_FOR", QUOTES, ""), ("HTTP_COOKIE", BLANKS, " ")):
            if sent := environ.get(name):
                environ[name] = unfit.sub(instead, sent)
        return wsgi_app(environ, start_response)

    return wrapped


def _add_headers(response: Response) -> Response:
    response.headers.add("Vary", "HX-Request, Accept-Encoding")  # pages and fragments have the same URL
    if response.status_code >= 500:  # on other pages it would tell answers apart that must be equal
        response.headers["X-Request-ID"] = request_id()
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if current_app.config["SESSION_COOKIE_SECURE"]:
        response.headers["Strict-Transport-Security"] = HSTS
    return response


def _compress(response: Response) -> Response:
    """Compress pages. A file name of random length in the gzip header hides their exact size (BREACH, decision 42)."""
    if response.mimetype == "text/html" and request.accept_encodings["gzip"] and response.status_code != 204:
        compressed = io.BytesIO()
        with gzip.GzipFile("x" * (1 + secrets.randbelow(100)), "wb", 6, compressed, mtime=0) as archive:
            archive.write(response.get_data())
        response.set_data(compressed.getvalue())
        response.headers["Content-Encoding"] = "gzip"
    return response


def render(template: str, form: Any = None, **context: Any) -> Response:
    """Return the page, or for htmx its block `fragment`; 422 if the form has errors."""
    refused = bool(form is not None and form.errors)
    layout = "fragment.html" if wants_fragment() else "layout.html"
    page = render_template(template, layout=layout, form=form, refused=refused, **context)
    return make_response(page, 422 if refused else 200)


def breakable(address: str) -> Markup:
    """Return a mail address that a line may break after "@" and dots, so that no word is broken at its hyphen."""
    parts = re.split(r"(?<=[@.])", address)
    return Markup("<wbr>").join(
        Markup('<span class="kmz-whole">{}</span>').format(part) if "-" in part and len(part) <= MAX_WHOLE else part
        for part in parts
    )


def add_notice(text: str, kind: str = "success") -> None:
    """Show the notice on the next page: `kind` is "success", or "info" where nothing was done.

    Notices of the desk name customers, so they are stored, and the cookie holds only a token. One without a login names
    none: it stays in the cookie, so that a request of an ended session writes nothing.
    """
    kept: Any = text
    if request.path.startswith("/kundenservice/") and current_user.is_authenticated:
        with transaction("visitor") as tx:
            kept = {"kept": kept_entries.keep(tx, {"notice": text})}
    flash(kept, kind)


def _notices() -> list[tuple[str, Any]]:
    """Return kind and text of the notices for this page, once; one that was kept too long ago is left out."""
    if "notices_shown" in g:
        return []
    g.notices_shown = True
    notices: list[tuple[str, Any]] = []
    flashed: list[Any] = get_flashed_messages(with_categories=True)
    for kind, notice in flashed:
        if isinstance(notice, dict):
            kept = kept_entries.find(db.session(), notice.get("kept"), datetime.now(UTC)) or {}
            notice = kept.get("notice")
        notices.extend([(kind, notice)] if notice else [])
    return notices


def redirect_in_place(endpoint: str, notice: str | None = None, kind: str = "success", **values: Any) -> AnyResponse:
    """Redirect to the same page or part of it; htmx follows and gets the fragment with the notice."""
    if notice:
        add_notice(notice, kind)
    return redirect(url_for(endpoint, **values), 303)


def redirect_to(endpoint: str, notice: str | None = None, kind: str = "success", **values: Any) -> AnyResponse:
    """Redirect to another page, which htmx loads as a whole."""
    return redirect_to_path(url_for(endpoint, **values), notice, kind)


def redirect_to_path(path: str, notice: str | None = None, kind: str = "success") -> AnyResponse:
    if notice:
        add_notice(notice, kind)
    if wants_fragment():
        return Response(status=204, headers={"HX-Redirect": iri_to_uri(path)})
    return redirect(path, 303)


def error_page(title: str, text: str, status: int, **context: Any) -> Response:
    """Return a page, or for htmx a sentence for the live region, so that the form stays unchanged."""
    if wants_fragment():
        number = context.get("error_number")
        more = f" Ihre Eingaben sind noch da. Fehlernummer: {number}" if number else ""
        sentence = f"{title}. {text}{more}"
        return Response(escape(sentence), status, {"HX-Retarget": "#meldung", "HX-Reswap": "innerHTML"})
    return make_response(render_template("error.html", title=title, text=text, **context), status)


def wants_fragment() -> bool:
    """Return whether htmx swaps the response into a page; boosted and restored requests get whole pages."""
    headers = request.headers
    if headers.get("HX-Request") != "true":
        return False
    return "HX-Boosted" not in headers and "HX-History-Restore-Request" not in headers


def local_path(text: str | None) -> str | None:
    """Return the text if it is a path on this site, else None: no open redirect (OWASP ASVS 3.7.2)."""
    if not text or not text.startswith("/") or text.startswith("//") or "\\" in text or not text.isprintable():
        return None
    parts = urlsplit(text)
    return text if not parts.scheme and not parts.netloc and " " not in text else None
