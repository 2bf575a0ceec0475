"""Security headers of all responses, and security settings of Flask and its extensions."""

from urllib.parse import urlsplit

from flask import Flask
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
    # With no-referrer browsers send forms with `Origin: null` (Fetch standard, 3.2).
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
HSTS = "max-age=31536000; includeSubDomains"


def init_app(app: Flask) -> None:
    secure = urlsplit(app.config["PUBLIC_URL"]).scheme == "https"
    app.config.update(
        # __Host- prevents other subdomains from setting the cookie; browsers require https (RFC 6265bis, 4.1.3.2).
        SESSION_COOKIE_NAME="__Host-kmzportal" if secure else "kmzportal",
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
