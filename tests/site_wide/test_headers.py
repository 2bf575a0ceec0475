"""No header that a stranger sends is a fault of the portal."""

import pytest

from tests import people
from tests.browser import Browser

HEADERS = [
    "Referer", "Origin", "Cookie", "User-Agent", "Accept", "Accept-Language", "Accept-Encoding", "If-None-Match",
    "If-Modified-Since", "If-Range", "Range", "Content-Type", "X-Forwarded-For", "X-Forwarded-Proto", "Forwarded",
    "Authorization", "Sec-Fetch-Site", "HX-Request", "HX-Current-URL", "HX-Target", "HX-Trigger-Name", "HX-Boosted",
]  # fmt: skip
VALUES = (
    "http://[",
    "http://a:x/",
    "//[::1%",
    "\xff\xe4",
    "%ff%00",
    ";,=;",
    "9" * 5_000,
    "bytes=9-1",
    'W/"',
    "text/html;charset=x",
)
PATHS = ("/", "/anmelden", "/einstellungen/konto", "/link/AAAA", "/kundenservice", "/static/css/portal.css")


@pytest.mark.parametrize("header", HEADERS)
def test_no_page_fails_at_a_header(app, erika, header):
    anyone, customer = Browser(app), Browser(app).log_in(erika)
    for value in VALUES:
        for client in (anyone.client, customer.client):
            for path in PATHS:
                answer = client.get(path, base_url=anyone.site, headers={header: value})
                assert answer.status_code < 500, (path, value)
                answer.close()
        sent = {"E-Mail-Adresse": erika.email, "Passwort": people.NEW_PASSWORD}
        answer = customer.client.post("/einstellungen/konto", base_url=anyone.site, headers={header: value}, data=sent)
        assert answer.status_code < 500, value
