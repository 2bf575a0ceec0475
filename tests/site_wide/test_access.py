"""Who may use which route. Each view declares its `access`; everybody else is refused."""

from contextlib import ExitStack, contextmanager
from itertools import product

import pytest
from sqlalchemy import delete, select

from kmzportal.models import CustomerAccess, LinkKind
from kmzportal.services import desk, links, support
from kmzportal.services.shares import Concurrency
from kmzportal.web import auth
from tests.browser import HTMX, Browser
from tests.site_wide.routes import routes
from tests.states import prove

pytestmark = pytest.mark.usefixtures("clock")

PUBLIC = {200, 204, 303, 404, 405, 410, 422}
ACCESS = {"anyone", "customer", "clerk", "admin", "link_holder"}
#: Which status codes a user gets from the routes of each kind of access; what is left out depends on the route.
STATUS = {
    "anonymous": {"anyone": PUBLIC, "customer": {303}, "clerk": {303}, "admin": {303}, "link_holder": {404}},
    "customer": {"clerk": {403, 404}, "admin": {403, 404}},
    "clerk": {"customer": {403}, "clerk": PUBLIC, "admin": {403}},
    "admin": {"customer": {403}, "clerk": PUBLIC, "admin": PUBLIC},
}


def test_every_route_declares_who_may_use_it(app):
    assert {route.endpoint: route.access for route in routes(app) if route.access not in ACCESS} == {}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("user", STATUS)
def test_a_route_is_open_only_to_those_it_declares(app, scenario, user, method):
    browser = {
        "anonymous": scenario.new_browser,
        "customer": lambda: scenario.log_in(scenario.max),
        "clerk": lambda: scenario.desk_browser(scenario.tim),
        "admin": lambda: scenario.desk_browser(scenario.rosa),
    }[user]()
    checked, wrong = set(), {}
    for route in routes(app, method):
        if allowed := STATUS[user].get(route.access):
            answer = browser.client.open(route.path, method=method, base_url=browser.site)
            checked.add(route.access)
            if answer.status_code not in allowed:
                wrong[route.path] = answer.status
            if user == "anonymous":
                assert scenario.erika.email not in answer.text, route.path
    assert wrong == {} and checked >= STATUS[user].keys() - {"link_holder"}


@pytest.fixture
def limits(monkeypatch):
    """Return the limits of a session, with no time to wait."""
    monkeypatch.setattr(auth, "requests_of_sessions", Concurrency(seconds=0))

    def limits(scenario, browser):
        session = scenario.backend.session_of(browser.session["_user_id"])
        return {f"session:{session.id}": auth.OF_SESSION, session.actor: auth.OF_PERSON}

    return limits


@pytest.mark.parametrize("user", ["customer", "admin"])
def test_of_a_session_three_requests_run_at_a_time_and_of_a_person_six(app, scenario, user, limits):
    """Whoever asked for slow pages again and again, with an own session or a stolen one, kept all processors busy."""
    browser, another, third = (
        scenario.log_in(scenario.max) if user == "customer" else scenario.desk_browser(scenario.rosa) for _ in range(3)
    )
    stranger = scenario.log_in(scenario.erika)
    own = [route for route in routes(app, "GET") if route.access == user or (user, route.access) == ("admin", "clerk")]
    with ExitStack() as running:
        for _ in range(auth.OF_SESSION[0]):
            running.enter_context(auth.requests_of_sessions.turn(limits(scenario, browser)))
        busy = {route.path: browser.client.get(route.path, base_url=browser.site).status_code for route in own}
        assert len(busy) > 9 and set(busy.values()) == {503}, busy
        assert another.open(own[0].path).status != 503
        for _ in range(auth.OF_SESSION[0]):
            running.enter_context(auth.requests_of_sessions.turn(limits(scenario, another)))
        assert third.open(own[0].path).status == 503 and browser.open("/hilfe").status == 200
        assert stranger.open("/einstellungen").status == 200
    assert browser.open(own[0].path).status != 503


@pytest.mark.parametrize("user", ["customer", "admin"])
def test_a_request_that_waited_is_not_answered_if_its_session_ended_meanwhile(scenario, user, monkeypatch):
    browser = scenario.log_in(scenario.max) if user == "customer" else scenario.desk_browser(scenario.rosa)
    session = scenario.backend.session_of(browser.session["_user_id"])

    @contextmanager
    def ends_while_it_waits(limits):
        scenario.set(session, ended_at=session.started_at)
        yield True

    monkeypatch.setattr(auth.requests_of_sessions, "turn", ends_while_it_waits)
    path = "/einstellungen" if user == "customer" else "/kundenservice/kunden"
    assert browser.open(path).heading.startswith("Anmelden")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("user", ["customer", "admin"])
def test_no_view_waits_for_a_second_turn(app, scenario, user, method, limits, monkeypatch):
    """Views call other views: four that each waited for their second turn stopped all pages of sessions for good."""
    monkeypatch.setattr(auth, "OF_SESSION", (1, 1))
    browser = scenario.log_in(scenario.max) if user == "customer" else scenario.desk_browser(scenario.rosa)
    if user == "admin":
        scenario.backend.run(prove, scenario.rosa)
    for route in routes(app, method):
        assert browser.client.open(route.path, method=method, base_url=browser.site).status_code != 503, route.path


def test_no_customer_sees_data_of_another(app, erika, max_):
    browser = Browser(app).log_in(max_)
    for route in routes(app, "GET"):
        answer = browser.client.get(route.path, base_url=browser.site)
        desk = route.path.startswith("/kundenservice")
        assert answer.status_code in ((403, 404) if desk else (200, 303, 404)), (route.path, answer.status)
        assert erika.email not in answer.text and "Erika" not in answer.text, route.path


def test_who_gets_data_of_a_customer_is_recorded_whatever_the_request(app, backend, scenario):
    """Also of a form that is refused, of a part of a page, and of a preview: a stolen session must not read unseen."""
    erika, clerk = scenario.erika, scenario.desk_browser(scenario.rosa).open("/kundenservice/kunden")
    backend.run(prove, scenario.rosa)
    link = scenario.issue(LinkKind.DESK, erika)
    backend.run(links.send, link), backend.run(desk.withdraw_link, link)
    case = backend.run(support.open_case, "other", "form", erika.email, "?")
    backend.run(support.assign, case, erika)
    shown, unseen = set(), []
    for route in routes(app, customer_id=erika.id, case_id=case.id, link_id=link.id):
        if route.access == "clerk" and {"customer_id", "case_id"} & route.arguments:
            for method, headers in product({"GET", "POST"} & route.methods, ({}, HTMX)):
                with backend.transaction() as tx:
                    tx.session.execute(delete(CustomerAccess))
                fields = {"csrf_token": clerk.csrf_token} if method == "POST" else None
                how = {"method": method, "base_url": clerk.site, "headers": headers, "data": fields}
                text = clerk.client.open(route.path, **how).text
                if erika.email in text or erika.phone in text or erika.last_name in text:
                    shown.add(route.endpoint)
                    seen = backend.read(select(CustomerAccess.customer_id))
                    unseen += [] if seen == [erika.id] else [(method, route.path, headers)]
    pages = {"customer", "preview", "data", "correct", "decide", "send", "change_lock", "change_link"}
    assert shown >= {f"customers.{page}" for page in pages} | {"requests.case", "requests.change"}
    assert shown >= {"outbox.customer_mails", "outbox.poll_customer_mails", "letters.print_letter", "deletion.delete"}
    assert unseen == []
