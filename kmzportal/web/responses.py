"""Responses as whole pages or as fragments, with their headers. The only module that knows htmx's headers."""

import gzip
import io
import secrets
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, flash, make_response, redirect, render_template, request, url_for
from flask_wtf import CSRFProtect
from markupsafe import escape
from werkzeug.urls import iri_to_uri
from werkzeug.wrappers import Response as AnyResponse

from kmzportal.web.security import HEADERS, HSTS

_MAX_KEY = 2**31 - 1
csrf = CSRFProtect()  # gives templates csrf_token(); each form checks its own, so a stale one is a field error


def init_app(app: Flask) -> None:
    app.after_request(_compress)
    app.after_request(_vary)
    app.after_request(_add_headers)


def _vary(response: Response) -> Response:
    """Keep caches from mixing up pages with fragments, and packed pages with plain ones."""
    response.headers.add("Vary", "HX-Request, Accept-Encoding")
    return response


def _add_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if current_app.config["SESSION_COOKIE_SECURE"]:
        response.headers["Strict-Transport-Security"] = HSTS
    return response


def _compress(response: Response) -> Response:
    """Compress pages; a file name of random length in the gzip header blurs how well they did (BREACH, decision 42)."""
    if response.mimetype == "text/html" and request.accept_encodings["gzip"] and response.status_code != 204:
        packed = io.BytesIO()
        with gzip.GzipFile("x" * (1 + secrets.randbelow(100)), "wb", 6, packed, mtime=0) as archive:
            archive.write(response.get_data())
        response.set_data(packed.getvalue())
        response.headers["Content-Encoding"] = "gzip"
    return response


def render(template: str, form: Any = None, **context: Any) -> Response:
    """Return the whole page, or for htmx its block `fragment`; 422 when the form has errors."""
    refused = bool(form is not None and form.errors)
    layout = "fragment.html" if wants_fragment() else "layout.html"
    page = render_template(template, layout=layout, form=form, refused=refused, **context)
    return make_response(page, 422 if refused else 200)


def redirect_in_place(endpoint: str, notice: str | None = None, **values: Any) -> AnyResponse:
    """Done, and seen in the same place: htmx follows and gets the fragment with its notice."""
    if notice:
        flash(notice, "form")
    return redirect(url_for(endpoint, **values), 303)


def redirect_to(endpoint: str, notice: str | None = None, **values: Any) -> AnyResponse:
    """Done, and seen elsewhere: a whole new page, for htmx too."""
    return redirect_to_path(url_for(endpoint, **values), notice)


def redirect_to_path(path: str, notice: str | None = None) -> AnyResponse:
    if notice:
        flash(notice, "page")
    if wants_fragment():
        return Response(status=204, headers={"HX-Redirect": iri_to_uri(path)})
    return redirect(path, 303)


def error_page(title: str, text: str, status: int, **context: Any) -> Response:
    """An error: a page, or for htmx a sentence in the live region, so that the form stays as it is."""
    if wants_fragment():
        number = context.get("error_number")
        more = f" Ihre Eingaben sind noch da. Fehlernummer: {number}" if number else ""
        words = f"{title}. {text}{more}"
        return Response(escape(words), status, {"HX-Retarget": "#meldung", "HX-Reswap": "innerHTML"})
    return make_response(render_template("error.html", title=title, text=text, **context), status)


def wants_fragment() -> bool:
    """Whether htmx swaps the answer into a page; boosted and restored ones are whole pages."""
    headers = request.headers
    if headers.get("HX-Request") != "true":
        return False
    return "HX-Boosted" not in headers and "HX-History-Restore-Request" not in headers


def page_key() -> int | None:
    """Return the key that a long list goes on from, `vor=…` in the address; None for what can be none."""
    number = request.args.get("vor", type=int)
    return number if number and 0 < number <= _MAX_KEY else None


def local_path(text: str | None) -> str | None:
    """Return a path on this site, or None for whatever might lead elsewhere (standards R034)."""
    if not text or not text.startswith("/") or text.startswith("//") or "\\" in text or not text.isprintable():
        return None
    parts = urlsplit(text)
    return text if not parts.scheme and not parts.netloc and " " not in text else None
