"""A house in which a name that no view gives to its template is an error."""

import pytest
from jinja2 import StrictUndefined

from tests.browser import Browser
from tests.states import House


@pytest.fixture
def house(app, backend, monkeypatch):
    monkeypatch.setattr(app.jinja_env, "undefined", StrictUndefined)
    return House(lambda: Browser(app), backend)
