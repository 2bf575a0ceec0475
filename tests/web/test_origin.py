"""Whose word about addresses is believed: the proxies' own, and nobody else's."""

import pytest
from sqlalchemy import select

from kmzportal.models.audit_event import AuditEvent
from tests.backend import Backend
from tests.browser import Browser

pytestmark = pytest.mark.usefixtures("clock")
SENT_BY_PROXIES = {"X-Forwarded-For": "203.0.113.1, 203.0.113.2, 203.0.113.3"}


def fail_at_login(app, address="jemand@schule.example", headers=None, **environ):
    browser = Browser(app).open("/anmelden")
    token = next(one.get("value") for one in browser.page.iter("input") if one.get("name") == "csrf_token")
    data = {"csrf_token": token, "email": address, "password": "falsches passwort"}
    return browser.client.post("/anmelden", data=data, base_url=browser.site, headers=headers, environ_base=environ)


def sources(backend):
    return [event.source for event in backend.read(select(AuditEvent).order_by(AuditEvent.id))]


def test_without_a_proxy_nobody_is_believed_who_they_forward_for(app, backend):
    fail_at_login(app, headers=SENT_BY_PROXIES, REMOTE_ADDR="192.0.2.7")
    assert sources(backend) == ["192.0.2.7"]


@pytest.mark.parametrize(("hops", "source"), [(1, "203.0.113.3"), (2, "203.0.113.2")])
def test_behind_proxies_only_what_they_added_is_believed(build_portal, hops, source):
    app = build_portal(PROXY_HOPS=hops)
    fail_at_login(app, headers=SENT_BY_PROXIES, REMOTE_ADDR="192.0.2.7")
    assert sources(Backend(app)) == [source]


@pytest.mark.parametrize(
    ("address", "source"),
    [("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("::1", "::/64"), ("unix:", None), ("", None), ("<b>", None)],
)
def test_a_source_is_an_address_or_a_block_of_them(app, backend, address, source):
    fail_at_login(app, REMOTE_ADDR=address)
    assert sources(backend) == [source]


def test_a_thousand_forged_sources_are_one(app, backend, erika):
    for number in range(6):
        fail_at_login(app, erika.email, {"X-Forwarded-For": f"203.0.113.{number}"})
    assert Browser(app).log_in(erika).status == 422
    assert set(sources(backend)) == {"127.0.0.1"}
