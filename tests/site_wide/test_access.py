"""Who may use which route. Each view declares its `access`; everybody else is refused."""

import pytest

from tests.browser import Browser
from tests.site_wide.routes import routes

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


def test_no_customer_sees_data_of_another(app, erika, max_):
    browser = Browser(app).log_in(max_)
    for route in routes(app, "GET"):
        answer = browser.client.get(route.path, base_url=browser.site)
        desk = route.path.startswith("/kundenservice")
        assert answer.status_code in ((403, 404) if desk else (200, 303, 404)), (route.path, answer.status)
        assert erika.email not in answer.text and "Erika" not in answer.text, route.path
