"""Who may use which route. Each view declares its `access`; everybody else is refused."""

from itertools import product

import pytest
from sqlalchemy import delete, select

from kmzportal.models import CustomerAccess, LinkKind
from kmzportal.services import desk, links, support
from kmzportal.services.shares import Holder
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


@pytest.mark.parametrize("user", ["customer", "admin"])
def test_each_page_of_a_session_takes_a_turn_of_that_session(app, scenario, user):
    """Whoever has a session, own or stolen, and asks for slow pages again and again kept all processors busy."""
    browser = scenario.log_in(scenario.max) if user == "customer" else scenario.desk_browser(scenario.rosa)
    session = scenario.backend.session_of(browser.session["_user_id"])
    turns = [auth.session_turns.enter(Holder(f"session:{session.id}", known=True)) for _ in range(10)]
    own = [route for route in routes(app, "GET") if route.access == user or (user, route.access) == ("admin", "clerk")]
    try:
        busy = {route.path: browser.client.get(route.path, base_url=browser.site).status_code for route in own}
        assert len(busy) > 9 and set(busy.values()) == {503}, busy
        assert browser.open("/hilfe").status == 200
    finally:
        for turn in turns:
            auth.session_turns.leave(turn)


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
