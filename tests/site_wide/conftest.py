import pytest

from tests.browser import Browser
from tests.states import Scenario


@pytest.fixture
def scenario(app, backend):
    return Scenario(lambda: Browser(app), backend)
