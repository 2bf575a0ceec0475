"""Arriving by a link: its token leaves the address bar, and neither scanners nor what hangs on to it do harm."""

import pytest

from kmzportal.models.account_link import LinkKind
from tests import secret_scan
from tests.web.links import LOST

pytestmark = pytest.mark.usefixtures("clock")


def test_the_token_leaves_the_address_bar_before_anything_is_shown(app, backend, erika, issue, mailed):
    link = issue(LinkKind.RECOVERY, erika)
    answer = app.test_client().get(mailed(link), base_url=app.config["PUBLIC_URL"])
    assert (answer.status_code, answer.location) == (303, f"/konto-link/{link.id}")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert backend.keys.token(link) not in answer.text


@pytest.mark.parametrize("kind", [LinkKind.RECOVERY, LinkKind.DESK, LinkKind.ADDRESS, LinkKind.OBJECTION])
def test_the_cookie_holds_no_token_of_a_link(browser, backend, juergen, issue, mailed, kind):
    link = issue(kind, juergen, juergen.pending_email)
    browser.open(mailed(link))
    with browser.client.session_transaction(base_url=browser.site) as session:
        everything = repr(dict(session))
    for secret in (backend.keys.token(link), backend.keys.code(link), link.token_hash, link.nonce):
        assert not secret_scan.contains_secret(secret, everything + browser.answer.text)


@pytest.mark.parametrize(
    "junk", [".", ">", ")", "%3E", "%3E.", "/", "?utm_source=mail", "%20", "*", "…", "%00", "%FF", "%0A", "%0D%0A"]
)
def test_what_mail_programs_hang_on_to_a_link_does_no_harm(browser, erika, issue, mailed, junk):
    assert browser.open(mailed(issue(LinkKind.RECOVERY, erika)) + junk).heading == "Neues Passwort"


@pytest.mark.parametrize("kind", [LinkKind.RECOVERY, LinkKind.DESK, LinkKind.ADDRESS, LinkKind.OBJECTION])
def test_scanners_may_look_as_often_as_they_like(app, browser, juergen, issue, mailed, kind):
    path = mailed(issue(kind, juergen, juergen.pending_email))
    with app.app_context():
        before = secret_scan.dump()
    for _ in range(3):
        for method in ("HEAD", "GET", "OPTIONS"):
            scanner, onward = app.test_client(), method != "OPTIONS"
            answer = scanner.open(path, method=method, base_url=browser.site, follow_redirects=onward)
            assert answer.status_code == 200
    with app.app_context():
        assert secret_scan.dump() == before
    assert browser.open(path).status == 200


def test_looking_at_the_link_is_not_opening_it(landed, backend, link):
    assert backend.read(link).opened_at is None


@pytest.mark.parametrize(
    "text", ["x", "x" * 43, "x" * 5000, "%00", "..%2f..", "%F0%9F%98%80", "' OR 1=1 --", "{{7*7}}"]
)
def test_what_was_never_a_link_gets_one_neutral_page(browser, erika, issue, text):
    issue(LinkKind.RECOVERY, erika)
    browser.open(f"/link/{text}")
    assert (browser.status, browser.heading) == (404, LOST)
