"""The login page, as everybody gets it of whom nothing is known yet: drawn once, then given out before Flask.

Only the cookie and the token of its form are new each time, signed as Flask and Flask-WTF sign them (see
docs/decisions/0040 for what it brings).
"""

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flask import Flask, url_for
from itsdangerous import URLSafeTimedSerializer
from werkzeug.http import parse_accept_header
from werkzeug.wrappers import Response

from kmzportal.web.front_door import StartResponse
from kmzportal.web.responses import _gzip

TOKEN = re.compile(r'name="csrf_token" type="hidden" value="([^"]+)"')


@dataclass(frozen=True)
class Drawn:
    """A page, its headers and its cookie, each cut where something new belongs."""

    page: list[str]
    headers: list[tuple[str, str]]
    cookie: list[str]


class FirstVisit:
    def __init__(self, app: Flask, path: str):
        self.app: Any = app.wsgi_app
        self.path = path
        self.cookies: Any = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]
        self.tokens = URLSafeTimedSerializer(str(app.secret_key), salt="wtf-csrf-token")
        self.drawn: Drawn | None = None

    def __call__(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        if self._is_first(environ):
            self.drawn = self.drawn or self._draw(environ)
            if self.drawn:
                return self._give(self.drawn, environ, start)
        answer: Iterable[bytes] = self.app(environ, start)
        return answer

    def _is_first(self, environ: dict[str, Any]) -> bool:
        asked = environ["REQUEST_METHOD"], environ.get("PATH_INFO"), environ.get("QUERY_STRING", "")
        was_here = environ.get("HTTP_COOKIE") or environ.get("HTTP_HX_REQUEST")
        return asked == ("GET", self.path, "") and not was_here

    def _draw(self, environ: dict[str, Any]) -> Drawn | None:
        """Let Flask draw the page for this visitor; what is no page is not kept."""
        answer = Response.from_app(self.app, environ | {"HTTP_ACCEPT_ENCODING": ""}, buffered=True)
        html, cookie = answer.get_data(as_text=True), answer.headers.get("Set-Cookie", "")
        token = TOKEN.search(html)
        if answer.status_code != 200 or not token or not cookie:
            return None
        value = cookie.partition("=")[2].partition(";")[0]
        others = [(name, said) for name, said in answer.headers if name not in ("Set-Cookie", "Content-Length")]
        return Drawn(html.split(token[1]), others, cookie.split(value))

    def _give(self, drawn: Drawn, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        secret = secrets.token_hex(20)
        page, headers = self.tokens.dumps(secret).join(drawn.page).encode(), list(drawn.headers)
        if parse_accept_header(environ.get("HTTP_ACCEPT_ENCODING"))["gzip"]:
            page, headers = _gzip(page), [*headers, ("Content-Encoding", "gzip")]
        cookie = self.cookies.dumps({"csrf_token": secret}).join(drawn.cookie)
        start("200 OK", [*headers, ("Content-Length", str(len(page))), ("Set-Cookie", cookie)])
        return [page]


def init_app(app: Flask) -> None:
    with app.test_request_context():
        path = url_for("login.login")
    app.wsgi_app = FirstVisit(app, path)  # type: ignore[method-assign,assignment]
