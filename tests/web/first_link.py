"""A clerk in front of a first link: what is shown, and everything filled in as it should be."""

from tests import page
from tests.cast import NEW

SET_UP, FIELD = "Zugang einrichten", "Code aus der App"


def arrive(browser, deeds, link):
    return browser.open(f"/link/{deeds.keys.token(link)}")


def secret_on(browser):
    return page.words(page.only(browser.page.iter("code"), "secret"))


def codes_on(browser):
    return [page.words(one) for one in browser.page.iter("code")]


def set_up(browser, deeds, **fields):
    return browser.submit(SET_UP, {**NEW, FIELD: deeds.app_shows(secret_on(browser)), **fields})
