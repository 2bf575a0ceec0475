"""Pages that need somebody at the desk."""

import pytest

from kmzportal.services import login


@pytest.fixture
def desk(browser, deeds, rosa):
    """Rosa at the desk."""
    return browser.come_in(deeds.do(login.start_session, rosa, "Firefox unter Linux"))
