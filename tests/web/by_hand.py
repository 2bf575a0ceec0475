"""What no page of the portal does: a form sent by hand, a cookie taken out of its browser."""

HTMX = {"HX-Request": "true"}
COOKIE, HOST = "__Host-kmzportal", "konto.kmz.example"


def token_in(browser):
    return next(one.get("value") for one in browser.page.iter("input") if one.get("name") == "csrf_token")


def post(browser, path, **fields):
    """Send what no form on the page would send."""
    return browser.client.post(path, data={"csrf_token": token_in(browser), **fields}, base_url=browser.site)


def cookie(browser):
    return browser.client.get_cookie(COOKIE, HOST).value
