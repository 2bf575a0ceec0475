"""Before Flask: is somebody alive, is this our name, and the static files, from memory."""

import gzip
import hashlib
import mimetypes
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from markupsafe import escape

FOLDER = Path(__file__).parent.parent / "static"
LOOPBACK = {"127.0.0.1", "localhost", "[::1]"}
HEADERS = [("X-Content-Type-Options", "nosniff"), ("Cross-Origin-Resource-Policy", "same-origin")]
FOREIGN = """<!DOCTYPE html><html lang="de"><head><meta charset="utf-8"><title>Falsche Adresse</title></head><body>
<h1>Diese Seite gibt es hier nicht</h1>
<p>Bitte rufen Sie das Portal unter seiner eigenen Adresse auf: {}</p></body></html>"""
mimetypes.add_type("font/woff2", ".woff2")

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class StaticFiles:
    """All static files, read once. One fingerprint for all stands in their path, so each may be kept for ever."""

    def __init__(self, folder: Path):
        paths = [path for path in folder.rglob("*") if path.is_file()]
        contents = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        everything = b"".join(name.encode() + contents[name] for name in sorted(contents))
        self.fingerprint = hashlib.sha256(everything).hexdigest()[:12]
        root = f"/static/{self.fingerprint}"
        self.answers = {f"{root}/{name}": self._answer(name, body) for name, body in contents.items()}

    @staticmethod
    def _answer(name: str, body: bytes) -> tuple[list[tuple[str, str]], bytes, bytes | None]:
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        text = kind.startswith("text/") or kind.endswith(("javascript", "xml"))
        headers = [
            ("Content-Type", f"{kind}; charset=utf-8" if text else kind),
            ("Cache-Control", "public, max-age=31536000, immutable"),
            ("Vary", "Accept-Encoding"),
            *HEADERS,
        ]
        return headers, body, gzip.compress(body, 9, mtime=0) if text else None


class FrontDoor:
    def __init__(self, app: Any, files: StaticFiles, public_url: str):
        self.app = app
        self.files = files
        self.public_url = public_url
        self.hosts = {urlsplit(public_url).netloc.rpartition("@")[2].casefold()} if public_url else set()

    def __call__(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/healthz":
            return _plain(environ, start, "200 OK", "ok\n", "text/plain")
        if not self._is_ours(environ.get("HTTP_HOST", "")):
            return _plain(environ, start, "400 Bad Request", FOREIGN.format(escape(self.public_url)), "text/html")
        if path in self.files.answers and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return self._static(path, environ, start)
        answer: Iterable[bytes] = self.app(environ, start)
        return answer

    def _is_ours(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        return host.casefold() in self.hosts or (not self.hosts and name.casefold() in LOOPBACK)

    def _static(self, path: str, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        headers, body, zipped = self.files.answers[path]
        if zipped and "gzip" in environ.get("HTTP_ACCEPT_ENCODING", ""):
            headers, body = [*headers, ("Content-Encoding", "gzip")], zipped
        return _answer(environ, start, "200 OK", headers, body)


def _plain(environ: dict[str, Any], start: StartResponse, status: str, text: str, kind: str) -> Iterable[bytes]:
    alone = [("Cache-Control", "no-store"), ("Content-Security-Policy", "default-src 'none'"), *HEADERS]
    headers = [("Content-Type", f"{kind}; charset=utf-8"), *alone]
    return _answer(environ, start, status, headers, text.encode())


def _answer(
    environ: dict[str, Any], start: StartResponse, status: str, headers: list[tuple[str, str]], body: bytes
) -> Iterable[bytes]:
    start(status, [*headers, ("Content-Length", str(len(body)))])
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]


def init_app(app: Flask) -> None:
    files = StaticFiles(FOLDER)
    app.add_url_rule("/static/<fingerprint>/<path:filename>", endpoint="static", build_only=True)

    @app.url_defaults
    def _(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static":
            values.setdefault("fingerprint", files.fingerprint)

    app.wsgi_app = FrontDoor(app.wsgi_app, files, app.config["PUBLIC_URL"])  # type: ignore[method-assign,assignment]
