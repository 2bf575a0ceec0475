"""What only a browser shows: Referer, frames, injected scripts, and the button "Zurück" after logging out."""

import pytest

from tests import people
from tests.e2e.actions import button, field, heading, log_in, open_account, whole

pytestmark = pytest.mark.browser
ATTACKER = "http://angreifer.example"


def test_no_request_after_the_mailed_link_names_it(page, portal, erika, mailbox):
    """RFC 9110, 10.1.3: a browser sends the page's address to the next one unless told otherwise."""
    portal.run("links", "send", erika.email)
    link = mailbox.wait_for(erika.email, "Ihr Link zum Konto").link
    token = link.rpartition("/")[2]
    requests = []
    page.context.on("request", lambda request: requests.append(request))
    page.goto(link)
    field(page, "Ich bin kein Roboter").click()
    heading(page, "Bilderrätsel").wait_for()
    headers = [request.all_headers() for request in requests]
    assert len(headers) > 5 and [one for one in headers if token in one.get("referer", "")] == []
    assert [request.url for request in requests if token in request.url] == [link]
    assert token not in page.evaluate("document.documentElement.outerHTML + document.referrer + location.href")


@pytest.mark.parametrize("framed", [True, False])
def test_a_page_cannot_be_shown_in_a_frame(page, framed):
    """The control without the policy shows that the frame would load otherwise (OWASP ASVS 3.4.6)."""
    path = "/anmelden"
    page.route(
        "**/rahmen", lambda route: route.fulfill(body=f'<iframe src="{path}"></iframe>', content_type="text/html")
    )
    if framed:

        def without_policy(route):
            answer = route.fetch()
            headers = {name: value for name, value in answer.headers.items() if name != "content-security-policy"}
            route.fulfill(response=answer, headers=headers)

        page.route(f"**{path}", without_policy)
    page.goto("/rahmen")
    assert [frame.url.endswith(path) for frame in page.frames[1:]] == [framed]
    page.monitor.faults.clear()


def test_a_script_that_got_into_a_page_does_not_run(page):
    """The second protection if a template failed to escape: the policy allows no inline script and no other origin."""
    payload = (
        '<script>document.title = "fremd"</script><img src="x" onerror="document.title = \'fremd\'">'
        f'<script src="{ATTACKER}/x.js"></script><a id="klick" href="javascript:document.title=\'fremd\'">x</a>'
    )

    def inject(route):
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace("<main", f"{payload}<main"))

    page.route("**/anmelden", inject)
    page.goto("/anmelden")
    page.locator("#klick").click(force=True)
    whole(page, "Anmelden")
    assert "fremd" not in page.title()
    blocked = [fault for fault in page.monitor.faults if "Content Security Policy" in fault]
    assert len(blocked) >= 4, page.monitor.faults
    page.monitor.faults.clear()


def test_after_logging_out_the_browser_shows_no_private_page_again(page, erika):
    """On a shared computer: neither cache nor back-forward cache of the browser keeps it (RFC 9111, 5.2.2.5)."""
    log_in(page, erika.email, people.password_of(erika))
    open_account(page, people.password_of(erika))
    assert field(page, "Nachname").input_value() == erika.last_name
    page.goto("/einstellungen/verlauf")
    button(page, "Abmelden").click()
    whole(page, "Anmelden")
    for _ in range(3):
        page.go_back()
        page.wait_for_load_state()
        assert erika.last_name not in page.content() and erika.email not in page.content()
        assert heading(page, "Anmelden").is_visible()
