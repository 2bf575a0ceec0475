"""The portal, its people and a simulated browser. KMZPORTAL_TEST_DATABASE=postgresql runs every test on it."""

import itertools
import os
from pathlib import Path

import pytest
import time_machine
from jinja2 import StrictUndefined

from kmzportal import create_app
from kmzportal.db import db
from kmzportal.services import audit_chain, links
from tests import (
    cheap_hashing,  # noqa: F401
    people,
    postgres,
    secret_scan,
)
from tests.backend import Backend
from tests.browser import Browser

DATABASE = os.environ.get("KMZPORTAL_TEST_DATABASE", "sqlite")
LINK_IDS = itertools.count(10**17)


def pytest_generate_tests(metafunc):
    if "browser" in metafunc.fixturenames and metafunc.definition.get_closest_marker("with_and_without_htmx"):
        metafunc.parametrize("browser", [False, True], ids=["browser", "htmx"], indirect=True)


def pytest_collection_modifyitems(config, items):
    if DATABASE != "postgresql":
        only_there = [item for item in items if item.get_closest_marker("postgresql")]
        config.hook.pytest_deselected(items=only_there)
        items[:] = [item for item in items if item not in only_there]


def pytest_terminal_summary(terminalreporter):
    """Name what was not checked, such as a browser that is not there."""
    for reason in sorted({report.longrepr[2] for report in terminalreporter.getreports("skipped")}):
        terminalreporter.write_line(f"NICHT GEPRÜFT: {reason.removeprefix('Skipped: ')}", red=True)


@pytest.fixture(scope="session")
def postgres_uri():
    with postgres.server() as uri:
        yield uri


@pytest.fixture(scope="session")
def portal(request, tmp_path_factory):
    settings = {"PUBLIC_URL": "https://konto.kmz.example", "TESTING": True}
    if DATABASE == "postgresql":
        settings["SQLALCHEMY_DATABASE_URI"] = request.getfixturevalue("postgres_uri")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KMZPORTAL_INSTANCE_PATH", str(tmp_path_factory.mktemp(DATABASE)))
        portal = create_app(settings)
    portal.jinja_env.undefined = StrictUndefined  # a name that no view gives is an error
    with portal.app_context():
        db.create_all()
    yield portal
    with portal.app_context():
        db.engine.dispose()


@pytest.fixture
def app(portal):
    """The portal with empty tables. After each test the canary looks through them."""
    yield portal
    secret_scan.check(portal)
    with portal.app_context(), db.engine.begin() as connection:
        for table in reversed(db.metadata.sorted_tables):
            connection.execute(table.delete())
    (Path(portal.instance_path) / audit_chain.MARKER).unlink(missing_ok=True)


@pytest.fixture
def clock():
    with time_machine.travel(people.NOW, tick=False) as stopped:
        yield stopped


@pytest.fixture
def backend(app):
    return Backend(app)


@pytest.fixture
def browser(request, app):
    return Browser(app, htmx=getattr(request, "param", False))


@pytest.fixture
def issue(backend):
    return backend.issue


@pytest.fixture
def factor(backend, rosa):
    return backend.add_second_factor(rosa)


def _person(data):
    return pytest.fixture(lambda backend: backend.add(people.person(data)))


erika, max_, anneliese = _person(people.ERIKA), _person(people.MAX), _person(people.ANNELIESE)
juergen, lieselotte = _person(people.JUERGEN), _person(people.LIESELOTTE)
rosa, tim = _person(people.ROSA), _person(people.TIM)


@pytest.fixture
def random_ids():
    """Leave the ids of links random."""


@pytest.fixture(autouse=True)
def ids_in_order(request, monkeypatch):
    """Give links ids in the order of their issue, as the stopped clock gives many of them the same time."""
    if "random_ids" not in request.fixturenames:
        monkeypatch.setattr(links, "new_id", LINK_IDS.__next__)
