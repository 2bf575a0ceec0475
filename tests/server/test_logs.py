"""What `kmzportal serve` writes to its log."""

import json
import logging
import re
import socket
import sqlite3
from contextlib import closing
from http.client import HTTPConnection
from itertools import dropwhile

import pytest

from kmzportal import logs
from tests.server.conftest import until

HOST = "konto.kmz.example"
TOKEN = "Zq7" * 14 + "x"  # 43 characters, as of a link
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 (INFO|WARNING|ERROR) [\w.]+ \[([0-9A-F]{8}|-)\] .+")


def open_link(port: int) -> tuple[str, str]:
    """Return the body and the id of the response."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", f"/link/{TOKEN}", headers={"Host": HOST})
        response = connection.getresponse()
        assert response.status == 500
        return response.read().decode(), response.headers["X-Request-ID"]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_each_line_has_time_level_and_request_id_and_a_broken_database_fills_no_log(start, log_format):
    portal = start("serve", PUBLIC_URL=f"https://{HOST}", LOG_FORMAT=log_format)
    until(portal.answers)
    with closing(sqlite3.connect(portal.folder / "kmzportal.db", timeout=20)) as database:
        database.execute("ALTER TABLE account_link RENAME TO gone")
    for page, identifier in [open_link(portal.port) for _ in range(12)]:
        assert f"Nummer: <strong>{identifier}</strong>" in page
        assert f"Fehler {identifier} in link.open_link: Die Datenbank antwortet nicht" in portal.output
    with socket.create_connection(("127.0.0.1", portal.port)) as client:
        client.sendall(f"GET /link/{TOKEN} HTTP/1.1 and more\r\n\r\n".encode())
        until(lambda: "Invalid request" in portal.output)
    portal.end()
    assert portal.output.count("Fehler ") <= 2  # one a minute and process
    assert TOKEN not in portal.output
    assert "ip=127.0.0.1" not in portal.output
    # What the command prints before it becomes gunicorn is no log.
    lines = list(dropwhile(lambda line: "kmzportal läuft unter" not in line, portal.output.splitlines()))
    assert len(lines) > 2
    for line in lines:
        if log_format == "json":
            assert json.loads(line).keys() - {"traceback"} == {"time", "level", "logger", "request", "message"}
        else:
            assert LINE.fullmatch(line) or line.startswith("    "), line


def test_requests_that_strangers_break_write_sixty_lines_an_hour_and_process(start):
    portal = start("serve", PUBLIC_URL=f"https://{HOST}")
    until(portal.answers)
    for _ in range(200):
        with socket.create_connection(("127.0.0.1", portal.port), timeout=10) as client:
            client.sendall(b"GET / HTTP/1.1 and more\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 400")
    portal.end()
    assert 60 <= portal.output.count("Invalid request") <= 120
    assert portal.output.count("weitere werden eine Stunde lang nur gezählt") in (1, 2)


def test_the_first_line_of_the_next_hour_tells_how_many_were_left_out(monkeypatch):
    bound, lines = logs.Bound(), []
    for number in range(102):
        monkeypatch.setattr(logs.time, "monotonic", lambda number=number: 0.0 if number < 100 else 3600.0)
        record = logging.LogRecord("kmzportal", logging.WARNING, "place.py", 1, "broken request %d", (number,), None)
        lines += [record.getMessage()] if bound.filter(record) else []
    assert lines[:59] == [f"broken request {number}" for number in range(59)]
    assert lines[59:] == [
        "broken request 59 (weitere werden eine Stunde lang nur gezählt)",
        "broken request 100 (… und 40 weitere in der Stunde davor)",
        "broken request 101",
    ]
