"""What every answer carries, and what no request may do."""

from urllib.parse import urlsplit

from flask import Flask, Response, abort, current_app, request
from markupsafe import escape
from werkzeug.middleware.proxy_fix import ProxyFix

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
    # Forms need their Origin: under no-referrer a browser sends `null`, see standards C1.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
HSTS = "max-age=31536000; includeSubDomains"
LOOPBACK = {"127.0.0.1", "localhost", "[::1]"}
ANY_HOST = {"health.healthz", "health.readyz"}  #: views for programs that may not know the portal's name
FOREIGN = """<!DOCTYPE html><html lang="de"><head><meta charset="utf-8"><title>Falsche Adresse</title></head><body>
<h1>Diese Seite gibt es hier nicht</h1>
<p>Bitte rufen Sie das Portal unter seiner eigenen Adresse auf: {}</p></body></html>"""
UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}


def init_app(app: Flask) -> None:
    secure = urlsplit(app.config["PUBLIC_URL"]).scheme == "https"
    app.config.update(
        # __Host- keeps a neighbour's subdomain from setting our cookie; browsers want https for it.
        SESSION_COOKIE_NAME="__Host-kmzportal" if secure else "kmzportal",
        SESSION_COOKIE_SECURE=secure,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",  # mails lead here from elsewhere, see standards C2
        MAX_CONTENT_LENGTH=64 * 1024,
        MAX_FORM_MEMORY_SIZE=64 * 1024,
        MAX_FORM_PARTS=100,
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_TIME_LIMIT=None,  # a token lives as long as its session, see standards C6
        WTF_CSRF_SSL_STRICT=False,  # Sec-Fetch-Site says it better than a Referer
        WTF_I18N_ENABLED=False,
    )
    hops = app.config["PROXY_HOPS"]
    if hops:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=0)  # type: ignore[method-assign]
    app.before_request(refuse_other_hosts)
    app.before_request(refuse_other_sites)
    app.after_request(add_headers)


def refuse_other_hosts() -> Response | None:
    """Answer under PUBLIC_URL's own host only; without a PUBLIC_URL, to this machine only."""
    public_url = current_app.config["PUBLIC_URL"]
    host, own = request.headers.get("Host", "").casefold(), urlsplit(public_url).netloc.rpartition("@")[2].casefold()
    name, _, port = host.rpartition(":")
    known = host == own if own else (name if port.isdigit() else host) in LOOPBACK
    if known or request.endpoint in ANY_HOST:
        return None
    return Response(FOREIGN.format(escape(public_url)), 400)


def refuse_other_sites() -> None:
    """No other site may send a form here; browsers without Sec-Fetch-Site say Origin, or are held by the token."""
    if request.method not in UNSAFE:
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin", "null")
    if site in ("cross-site", "same-site") if site else origin not in ("null", current_app.config["PUBLIC_URL"]):
        abort(403)


def add_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if current_app.config["SESSION_COOKIE_SECURE"]:
        response.headers["Strict-Transport-Security"] = HSTS
    return response
