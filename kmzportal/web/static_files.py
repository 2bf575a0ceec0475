"""Static files, served by WhiteNoise in front of Flask.

Their path contains one fingerprint of all files, so that browsers may cache them for a year and relative URLs in the
style sheet work. WhiteNoise lists the folder once, at start, and prefers `.gz` files, which `make css` writes.
"""

import hashlib
from pathlib import Path
from wsgiref.headers import Headers

from flask import Flask
from whitenoise import WhiteNoise

from kmzportal.web.responses import HSTS

FOLDER = Path(__file__).parent.parent / "static"


def init_app(app: Flask) -> None:
    files = sorted(path for path in FOLDER.rglob("*") if path.is_file())
    content = b"".join(path.relative_to(FOLDER).as_posix().encode() + path.read_bytes() for path in files)
    fingerprint = hashlib.sha256(content).hexdigest()[:12]
    app.add_url_rule(f"/static/{fingerprint}/<path:filename>", endpoint="static", build_only=True)
    app.wsgi_app = WhiteNoise(  # type: ignore[method-assign]
        app.wsgi_app,
        FOLDER,
        prefix=f"static/{fingerprint}",
        allow_all_origins=False,
        add_headers_function=_add_secure_headers if app.config["SESSION_COOKIE_SECURE"] else _add_headers,
    )


def _add_secure_headers(headers: Headers, path: str, url: str) -> None:
    _add_headers(headers, path, url)
    headers["Strict-Transport-Security"] = HSTS


def _add_headers(headers: Headers, path: str, url: str) -> None:
    headers["Cache-Control"] = "public, max-age=31536000, immutable"
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
