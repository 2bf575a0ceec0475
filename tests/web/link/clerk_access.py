"""A clerk in front of a first link: what is shown, and everything filled in as it should be."""

from tests.browser import only, words
from tests.people import NEW

SET_UP, FIELD = "Zugang einrichten", "Code aus der App"


def arrive(browser, backend, link):
    return browser.open(f"/link/{backend.keys.token(link)}")


def secret_on(browser):
    return words(only(browser.page.iter("code"), "secret"))


def codes_on(browser):
    return [words(one) for one in browser.page.iter("code")]


def set_up(browser, backend, **fields):
    return browser.submit(SET_UP, {**NEW, FIELD: backend.totp_code(secret_on(browser)), **fields})
