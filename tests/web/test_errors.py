"""What does not exist, cannot be opened, or comes from another site is told in German, with a way on."""

import pytest

from kmzportal.models.account_link import LinkKind
from kmzportal.services import links
from tests.browser import Browser
from tests.web.by_hand import HTMX

pytestmark = pytest.mark.usefixtures("clock")


@pytest.mark.parametrize(
    "path",
    [
        "/gibt-es-nicht", "/.git/config", "/instance/kmzportal.db", "/static/../settings.py", "/static/x/css/kmz.css",
        "/einstellungen/konto.css", "/einstellungen/konto/x.css", "/anmelden/x", "/%00", "/%FF", "/\u202e",
        "/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200", "/link", "/konto-link/x",
        "/konto-link/" + "9" * 40, "/einstellungen/x.css", "/konto-link/99999", "/.well-known/nichts",
        "/" + "x" * 5000, "/demo/postfach", "/demo/mails",
    ],
)  # fmt: skip
def test_what_does_not_exist_is_not_found(browser, path):
    browser.open(path)
    assert browser.status == 404
    assert browser.heading in ("Diese Seite gibt es nicht", "Diesen Link können wir nicht öffnen")
    assert "07051 965 220" in browser.text


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "ABC"])
@pytest.mark.parametrize("path", ["/anmelden", "/einstellungen/konto", "/passwort-vergessen"])
def test_other_methods_are_not_allowed_and_the_answer_says_which_are(ask, path, method):
    answer = ask(path, method)
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}


@pytest.mark.parametrize("path", ["/abmelden", "/passwort-vergessen/noch-einmal", "/konto-link/1/abbrechen"])
def test_what_is_only_sent_cannot_be_opened(ask, path):
    answer = ask(path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "OPTIONS, POST")
    assert "Das geht auf diesem Weg nicht" in answer.text


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("path", ["/anmelden", "/abmelden", "/passwort-vergessen", "/konto-link/1/passwort"])
def test_no_other_site_sends_a_form_here(ask, path, site):
    answer = ask(path, "POST", headers={"Sec-Fetch-Site": site, "Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert "Das geht von hier aus nicht" in answer.text


def test_a_link_in_a_mail_comes_from_elsewhere_and_opens(app, backend, erika):
    link = backend.run(links.issue, LinkKind.RECOVERY, erika)
    client = app.test_client()
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Referer": "https://webmail.example/"}
    answer = client.get(f"/link/{backend.keys.token(link)}", base_url=app.config["PUBLIC_URL"], headers=headers)
    assert answer.status_code == 303


def test_another_sites_form_logs_nobody_out(app, erika):
    browser = Browser(app).log_in(erika)
    browser.client.post("/abmelden", base_url=browser.site, headers={"Sec-Fetch-Site": "cross-site"})
    assert browser.open("/einstellungen").heading == "Einstellungen"


def test_an_error_reaches_an_htmx_page_as_a_sentence_beside_the_form(ask):
    answer = ask("/passwort-vergessen", "POST", headers={**HTMX, "Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert (answer.headers["HX-Retarget"], answer.headers["HX-Reswap"]) == ("#meldung", "innerHTML")
    assert answer.text.startswith("Das geht von hier aus nicht.")
    assert "<" not in answer.text
