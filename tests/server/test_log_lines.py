"""What a log line may cost and hold, when strangers choose its text."""

import logging

import pytest

from kmzportal.logs import LONGEST_MESSAGE, LineFormatter


@pytest.fixture
def line(app):
    def line(message):
        record = logging.LogRecord("gunicorn", logging.WARNING, "x.py", 1, "Invalid request: %s", (message,), None)
        with app.app_context():
            return LineFormatter(as_json=False).format(record)

    return line


@pytest.mark.parametrize("letters", ["a", "a.", "a@", "é+", "ip="])
def test_a_long_message_is_shortened(line, letters):
    """The search for addresses took n * n steps in letters without an @, and all threads of the process waited."""
    assert len(line(letters * 60_000)) < LONGEST_MESSAGE + 200


def test_no_line_holds_an_address_a_token_or_a_client(line):
    written = line("<erika.m+x@schule.example> von ip=192.0.2.1 für /link/geheim und max@schule.example, ö@x.de")
    for private in ("erika", "schule", "192", "geheim", "max", "x.de"):
        assert private not in written
