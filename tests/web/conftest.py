"""Who stands where before a page is opened: Rosa at the desk, Erika with a link, and nobody at all."""

import pytest

from kmzportal.domain.account_link import LinkKind
from kmzportal.services import account_link, login


@pytest.fixture
def ask(app):
    """Send a request as it comes, from nobody."""
    return lambda path, method="GET", **how: app.test_client().open(
        path, method=method, base_url=app.config["PUBLIC_URL"], **how
    )


@pytest.fixture
def desk(browser, deeds, rosa):
    """Rosa at the desk."""
    return browser.come_in(deeds.do(login.start_session, rosa, "Firefox unter Linux"))


@pytest.fixture
def screen(desk, erika):
    """Rosa in front of Erika's screen."""
    return desk.open(f"/kundenservice/kunden/{erika.id}")


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


@pytest.fixture
def link(deeds, erika):
    """The desk's link for Erika."""
    link = deeds.do(account_link.issue, LinkKind.DESK, erika, None, "ro", actor="clerk:1")
    deeds.do(account_link.send, link)
    return link


@pytest.fixture
def landed(browser, deeds, link):
    """The browser on the page where the link begins."""
    return browser.open(f"/link/{deeds.keys.token(link)}")
