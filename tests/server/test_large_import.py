"""A large import beside people who log in, on a real `kmzportal serve`."""

import csv
import re
import subprocess
import time
from http.cookiejar import CookieJar
from threading import Event, Thread
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

import pytest
from sqlalchemy import create_engine, make_url, text

from kmzportal.db import db
from kmzportal.services.customer_file import COLUMNS
from tests import people
from tests.e2e.served_portal import ServedPortal
from tests.server.conftest import ROOT

LONGEST = 3  # seconds that a login may wait
PEOPLE = (people.ERIKA, people.MAX)
#: The import prints how many rows of each kind there are.
EVERY = "{}: {}\n"


#: Rows that are new in the first file, and rows of them that the second file changes. On PostgreSQL a login of a
#: changed customer waits for the commit, and writing 150,000 changes takes longer than LONGEST (docs/scaling.md).
SIZES = [("sqlite", 50_000, 50_000), ("postgresql", 150_000, 10_000)]


@pytest.fixture(params=SIZES, ids=lambda param: param[0])
def portal_and_numbers(request, tmp_path):
    """A portal in which Erika and Max have a password, and how many rows are new, then changed."""
    database, *numbers = request.param
    settings = {}
    if database == "postgresql":
        uri = make_url(request.getfixturevalue("postgres_uri"))
        engine = create_engine(uri, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("CREATE DATABASE large"))
        engine.dispose()
        settings["SQLALCHEMY_DATABASE_URI"] = uri.set(database="large").render_as_string(hide_password=False)
    with ServedPortal(tmp_path, **settings) as portal:
        with portal.app.app_context():
            for person in PEOPLE:
                db.session.add(people.person(person))
            db.session.commit()
        yield portal, numbers
        with portal.app.app_context():
            db.engine.dispose()


def write(path, number, changed=0):
    """Write a file with so many invented customers, of whom some have moved, then Erika and Max, who may have, too."""
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        rows = csv.writer(file, delimiter=";")
        rows.writerow(COLUMNS.values())
        for n in range(number):
            school, address = f"Grundschule Tälesbach {n % 700}", f"kaethe.{n}@gs{n % 700}.example"
            rows.writerow(
                [
                    n,
                    "Frau",
                    "Käthe",
                    f"Köhler-{n}",
                    address,
                    school,
                    "Höhenweg 1",
                    "75365",
                    "Nagold" if n < changed else "Calw",
                    n,
                ]
            )
        for person in PEOPLE:
            moved = person | ({"town": "Nagold"} if changed else {})
            rows.writerow([moved.get(name, "") for name in COLUMNS])


def log_in(portal, person):
    """Log in as a browser does; return status and seconds of the answer to the form."""
    browser = build_opener(HTTPCookieProcessor(CookieJar()))
    page = browser.open(f"{portal.url}/anmelden").read().decode()
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)[1]
    password = people.PASSWORDS[person["number"]]
    form = urlencode({"csrf_token": token, "email": person["email"], "password": password}).encode()
    began = time.monotonic()
    try:
        status = browser.open(f"{portal.url}/anmelden", form, timeout=60).status
    except HTTPError as error:
        status = error.code
    return status, time.monotonic() - began


@pytest.mark.trial
def test_no_login_waits_three_seconds_for_a_large_import(portal_and_numbers, tmp_path, capsys):
    portal, (number, changed) = portal_and_numbers
    done, logins = Event(), []

    def people_log_in():
        while not done.wait(0.05):
            logins.extend(log_in(portal, person) for person in PEOPLE)

    thread = Thread(target=people_log_in)
    thread.start()
    try:
        for moved, expected in ((0, EVERY.format("Neu", number)), (changed, EVERY.format("Geändert", changed + 2))):
            write(tmp_path / "kunden.csv", number, moved)
            command = [*portal.started_by, "customers", "import", str(tmp_path / "kunden.csv")]
            began = time.monotonic()
            ended = subprocess.run(
                command, cwd=ROOT, env=portal.environment, capture_output=True, text=True, check=False
            )
            with capsys.disabled():
                longest = max(seconds for _, seconds in logins)
                took = time.monotonic() - began
                print(f"\n{number} rows in {took:.0f} s, {len(logins)} logins, longest {longest:.2f} s")
            assert ended.returncode == 0, ended.stderr
            assert expected in ended.stdout
    finally:
        done.set()
        thread.join()
    assert {status for status, _ in logins} == {200}
    assert max(seconds for _, seconds in logins) < LONGEST
