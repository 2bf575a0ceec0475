"""Pages that need somebody at the desk, a clerk's second factor, or a link from a mail."""

import pytest

from kmzportal.services import login


@pytest.fixture
def desk(browser, deeds, rosa):
    """Rosa at the desk."""
    return browser.come_in(deeds.do(login.start_session, rosa, "Firefox unter Linux"))


@pytest.fixture
def factor(deeds, rosa):
    return deeds.give_factor(rosa)


@pytest.fixture
def offered(app, monkeypatch):
    """A second factor is offered, and nobody needs one."""
    monkeypatch.setitem(app.config, "STAFF_SECOND_FACTOR", "offered")


@pytest.fixture
def mailed(deeds):
    """Return the path of a link as it stands in the mail."""
    return lambda link: f"/link/{deeds.keys.token(link)}"
