"""What every test finds: the portal on SQLite and on PostgreSQL, its people, and a way to do deeds."""

import pytest
import time_machine
from jinja2 import StrictUndefined

from kmzportal import create_app
from kmzportal.db import db
from tests import canary, cast, cheap_hashing, postgres  # noqa: F401
from tests.browser import Browser
from tests.deeds import Deeds

PUBLIC_URL = "https://konto.kmz.example"


@pytest.fixture(scope="session")
def postgres_uri():
    with postgres.server() as uri:
        yield uri


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def portal(request, tmp_path_factory):
    settings = {"PUBLIC_URL": PUBLIC_URL, "TESTING": True}
    if request.param == "postgresql":
        settings["SQLALCHEMY_DATABASE_URI"] = request.getfixturevalue("postgres_uri")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KMZPORTAL_INSTANCE_PATH", str(tmp_path_factory.mktemp(request.param)))
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
    canary.check(portal)
    with portal.app_context(), db.engine.begin() as connection:
        for table in reversed(db.metadata.sorted_tables):
            connection.execute(table.delete())


@pytest.fixture
def clock():
    """Stop the clock at `cast.NOW`; tests shift it."""
    with time_machine.travel(cast.NOW, tick=False) as stopped:
        yield stopped


@pytest.fixture
def deeds(app):
    return Deeds(app)


@pytest.fixture(params=["browser", "htmx"])
def browser(request, app):
    """Somebody at a browser, with htmx and without."""
    return Browser(app, htmx=request.param == "htmx")


@pytest.fixture
def issue(deeds):
    return deeds.issue


@pytest.fixture
def factor(deeds, rosa):
    return deeds.give_factor(rosa)


def _person(data):
    return pytest.fixture(lambda deeds: deeds.enter(cast.person(data)))


erika, max_, anneliese = _person(cast.ERIKA), _person(cast.MAX), _person(cast.ANNELIESE)
juergen, lieselotte = _person(cast.JUERGEN), _person(cast.LIESELOTTE)
rosa, tim = _person(cast.ROSA), _person(cast.TIM)
