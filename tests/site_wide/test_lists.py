"""Lists of the desk go on after their first page only with the second factor: a stolen cookie must not copy them."""

import pkgutil
from importlib import import_module
from itertools import product
from urllib.parse import parse_qsl, urlsplit

import pytest

from kmzportal import services
from kmzportal.models import LinkKind
from kmzportal.services import links, recovery, support
from tests.site_wide.routes import routes

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture(autouse=True)
def one_row_on_each_page(monkeypatch):
    """Every number of rows is a constant of its service, and ends with _SHOWN."""
    for module in [import_module(f"{services.__name__}.{one.name}") for one in pkgutil.iter_modules(services.__path__)]:
        for name in [name for name in vars(module) if name.endswith("_SHOWN")]:
            monkeypatch.setattr(module, name, 1)


@pytest.fixture
def customers(backend, scenario):
    """Three customers, each with something in every list."""
    found = (scenario.erika, scenario.max, scenario.anneliese)
    for one in found:
        backend.run(links.send, scenario.issue(LinkKind.DESK, one))
        backend.run(recovery.request_link, one.email)
        backend.run(support.open_case, "other", "form", one.email, "?")
        scenario.set(one, password_set_at=None, locked_at=one.created_at)
    return found


@pytest.fixture
def thief(scenario):
    return scenario.desk_browser(scenario.rosa)


@pytest.fixture
def shown(thief, customers):
    """Return a function that opens a page and returns the customers on it, or None where it asks for the factor."""

    def shown(url):
        if thief.open(url).path == "/kundenservice/bestaetigen":
            return None
        text = thief.answer.text
        return {one.last_name for one in customers if one.last_name in text or one.email in text}

    return shown


@pytest.fixture
def further(thief, shown):
    """The URLs that pages of the desk link to as their further pages: at the same path, with other customers or none.

    Found by following all links.
    """
    waiting, seen, found = ["/kundenservice/kunden"], set(), []
    while waiting:
        url = waiting.pop()
        here = shown(url) or set()
        for href in {link.get("href", "").partition("#")[0] for link in thief.page.iter("a")} - seen:
            seen.add(href)
            if href.startswith("/kundenservice/"):
                same_page, there = urlsplit(href).path == urlsplit(url).path, shown(href)
                (found if same_page and (there is None or there - here) else waiting).append(href)
    return found


def test_no_link_to_more_of_a_list_shows_more_to_whoever_stole_the_cookie(further, shown):
    lists = {"postausgang", "protokoll", "anfragen", "kunden/liste/gesperrt", "kunden/liste/nie-aktiviert"}
    assert {urlsplit(url).path for url in further} >= {f"/kundenservice/{name}" for name in lists}
    assert [url for url in further if shown(url) is not None] == []


def test_what_leads_to_more_of_one_list_leads_on_no_other_page_of_the_desk_to_more(app, further, shown):
    """Such as the list that the page of the Postausgang polls, which no link leads to."""
    keys = {pair for url in further for pair in parse_qsl(urlsplit(url).query)}
    assert {name for name, _ in keys} >= {"vor", "ab"}
    paths = [route.path for route in routes(app, "GET") if route.access in ("clerk", "admin")]
    more = [f"{path}?{name}={value}" for path, (name, value) in product(paths, keys)]
    assert [url for url in more if not (shown(url) or set()) <= (shown(url.partition("?")[0]) or set())] == []
