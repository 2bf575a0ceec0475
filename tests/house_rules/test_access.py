"""Each route says who may come, and nobody else gets anywhere by it."""

import pytest

from tests.house_rules.routes import at_the_desk, cast_url, log_in, rules

pytestmark = pytest.mark.usefixtures("clock")
ACCESS = {"anyone", "customer", "clerk", "admin", "link_holder"}
WAY_IN = {
    "anyone": (200, 204, 303, 404, 405, 410, 422),
    "customer": (303,),
    "clerk": (303,),
    "admin": (303,),
    "link_holder": (404,),
}


def test_every_route_declares_who_may_come(app):
    declared = {rule.endpoint: getattr(app.view_functions[rule.endpoint], "access", None) for rule, _ in rules(app)}
    assert {endpoint for endpoint, access in declared.items() if access not in ACCESS} == set()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_stranger_gets_nowhere_but_where_anyone_may_come(app, erika, method):
    for rule, path in rules(app):
        if method in rule.methods:
            access = app.view_functions[rule.endpoint].access
            answer = app.test_client().open(path, method=method, base_url=cast_url(app))
            assert answer.status_code in WAY_IN[access], (method, path, answer.status)
            assert erika.email not in answer.text


def refused(portal, browser, *access):
    """Yield every way to come where only these may, with how it is answered."""
    for rule, path in rules(portal):
        if portal.view_functions[rule.endpoint].access in access:
            for method in rule.methods & {"GET", "POST"}:
                answer = browser.client.open(path, method=method, base_url=cast_url(portal))
                yield f"{method} {path}", answer.status_code


def test_a_clerk_is_no_customer(app, backend, rosa):
    answers = dict(refused(app, at_the_desk(app, backend, rosa), "customer"))
    assert set(answers.values()) == {403}, answers


def test_a_customer_is_nobody_at_the_desk(app, backend, erika, rosa):
    answers = dict(refused(app, log_in(app, erika), "clerk", "admin"))
    assert len(answers) > 5 and set(answers.values()) <= {403, 404}, answers


def test_a_clerk_is_no_admin(app, backend, rosa, tim):
    answers = dict(refused(app, at_the_desk(app, backend, tim), "admin"))
    assert len(answers) >= 5 and set(answers.values()) == {403}, answers


def test_an_admin_may_come_wherever_clerks_may(app, backend, rosa):
    answers = dict(refused(app, at_the_desk(app, backend, rosa), "clerk", "admin"))
    assert 403 not in answers.values(), answers


def test_no_customer_sees_anything_of_another(app, erika, max_):
    browser = log_in(app, max_)
    for rule, path in rules(app):
        if "GET" in rule.methods:
            answer = browser.client.get(path, base_url=cast_url(app))
            desk = path.startswith("/kundenservice")
            assert answer.status_code in ((403, 404) if desk else (200, 303, 404)), (path, answer.status)
            assert erika.email not in answer.text and "Erika" not in answer.text, path
