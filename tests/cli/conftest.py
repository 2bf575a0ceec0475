"""An operator at the command line."""

import pytest

from kmzportal.cli import cli


@pytest.fixture
def type_in(app):
    runner = app.test_cli_runner()
    return lambda *words: runner.invoke(cli, words)


@pytest.fixture
def settings(app):
    """Settings of the portal, as they were again afterwards."""
    before = dict(app.config)
    yield app.config
    app.config.update(before)
