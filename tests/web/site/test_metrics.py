"""/metrics: figures of the database for Prometheus, for this machine only."""

import re

import pytest

from kmzportal.server import sample_people
from kmzportal.services import outbox, sessions
from kmzportal.services.passwords import check_password
from tests import people

LINE = re.compile(r'(kmzportal_\w+(?:\{\w+="[^"\\]+"\})?) (-?[\d.e+]+)')


@pytest.fixture
def fetch(app):
    """Return a function that asks for /metrics straight at the port, from an address."""
    return lambda peer="127.0.0.1", **headers: app.test_client().get(
        "/metrics", base_url="http://127.0.0.1:8000", environ_base={"REMOTE_ADDR": peer}, headers=headers
    )


def test_figures_are_those_of_the_database_in_the_form_of_prometheus(backend, clock, fetch):
    backend.run(sample_people.enter)
    rosa, erika = people.ROSA["email"], people.ERIKA["email"]
    backend.run(outbox.record_heartbeat, outbox.MAILS_LOOP)
    clock.shift(90)
    response = fetch()
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert rosa not in response.text and erika not in response.text
    lines = response.text.splitlines()
    values = dict(LINE.fullmatch(line).groups() for line in lines if not line.startswith("#"))
    expected = {
        'accounts{kind="customer"}': len(sample_people.CUSTOMERS),
        'accounts{kind="clerk"}': len(sample_people.CLERKS),
        'sessions{kind="customer"}': 0,
        'mails{state="refused"}': 1,
        'mails{state="expired"}': 0,
        'mail_oldest_seconds{state="queued"}': 90,
        "recovery_requests_waiting": 3,
        "recovery_request_oldest_seconds": 90,
        'heartbeat_age_seconds{loop="mails"}': 90,
        "mail_outage": 1,
        "throttled_accounts": 0,
    }
    assert {name: float(values[f"kmzportal_{name}"]) for name in expected} == expected
    assert float(values["kmzportal_database_bytes"]) > 100_000
    assert sum(float(value) for name, value in values.items() if "_cases{" in name) == len(sample_people.CASES)
    assert lines.count("# TYPE kmzportal_cases gauge") == 1


def test_an_account_is_counted_while_its_logins_are_refused(backend, erika, fetch, clock):
    for _ in range(6):
        backend.run(sessions.log_in, erika.email, check_password("falsch", None), "Firefox")
    assert "kmzportal_throttled_accounts 1\n" in fetch().text
    clock.shift(3600)
    assert "kmzportal_throttled_accounts 0\n" in fetch().text


@pytest.mark.parametrize(("peer", "headers", "status"), [
    ("::1", {}, 200),
    ("192.0.2.7", {}, 404),
    ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, 404),
    ("127.0.0.1", {"Forwarded": "for=127.0.0.1"}, 404),
    ("", {}, 404),
])  # fmt: skip
def test_only_this_machine_without_a_proxy_gets_them(fetch, peer, headers, status):
    assert fetch(peer, **headers).status_code == status
