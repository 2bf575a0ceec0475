"""The same deeds of the portal among a thousand customers and among a million, on one database and the other."""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

from flask import Flask
from sqlalchemy import create_engine, select

from bench import customers
from bench.load import timed
from bench.table import LARGE, MIDDLE, SMALL, Figures
from kmzportal import create_app
from kmzportal.db import db
from kmzportal.domain.customer import Customer
from kmzportal.domain.passwords import Proof
from kmzportal.robot_check import drawing
from kmzportal.robot_check.puzzle import Puzzles
from kmzportal.server.serve import prepare
from kmzportal.services import customers_search, login, recovery
from kmzportal.unit_of_work import unit_of_work
from tests import postgres

HASH = "a hash that nobody compares"
CAPS = dict.fromkeys(("MAILS_PER_DAY", "RECOVERY_PER_HOUR", "RECOVERY_PER_DAY"), 10**6)


def log_in(n: int) -> None:
    """All of a login but the hashing, which would hide the database."""
    address = customers.person(n)["email"]
    proof = Proof(login.password_hash_of(db.session(), address), True)
    with unit_of_work("visitor") as work:
        assert login.log_in(work, address, proof, "Firefox")


def forget(n: int) -> None:
    """All of Passwort vergessen but the mail: the request, and the worker's answer to it."""
    with unit_of_work("visitor") as work:
        recovery.ask(work, customers.person(n)["email"])
    for request in recovery.unanswered(db.session()):
        with unit_of_work("worker") as work:
            recovery.answer(work, request)


def look_up(n: int) -> None:
    person = customers.person(n)
    for query in (person["number"], person["email"]):
        found = customers_search.search(db.session(), query)
        assert found and person["number"] in [hit.number for hit in found.hits], query


def search(query: str) -> None:
    assert customers_search.search(db.session(), query), query


def queries(n: int) -> list[str]:
    """What a clerk types: a name, two in any order, school and half a name, one typing error, a telephone number."""
    person = customers.person(n)
    first, last, school = person["first_name"], person["last_name"], person["school"]
    return [last, f"{last} {first}", f"{school} {last[:4]}", f"{first} {last[:2]}{last[3:]}", person["phone"]]


DEEDS = {"login": log_in, "forgot": forget, "look-up": look_up}


def portal(uri: str, count: int, folder: Path) -> Flask:
    """Return a portal with so many customers; the database is filled unless it is already."""
    app = create_app({"SQLALCHEMY_DATABASE_URI": uri, "PUBLIC_URL": "http://127.0.0.1:5000", **CAPS}, folder)
    prepare(app)
    with app.app_context():
        if not db.session.scalar(select(Customer.id).limit(1)):
            customers.fill(count, HASH)
        db.session.remove()
    return app


def fill(uri: str, count: int, folder: Path) -> None:
    portal(uri, count, folder)


@contextmanager
def portals(folder: Path) -> Iterator[dict[tuple[str, int], Flask]]:
    """Yield portals with few and many customers on both databases; two at a time are filled, the largest first."""
    with postgres.server() as uri, ProcessPoolExecutor(2, get_context("spawn")) as pool:
        where = {}
        with create_engine(uri, isolation_level="AUTOCOMMIT").connect() as connection:
            for n in (LARGE, MIDDLE, SMALL):
                connection.exec_driver_sql(f"CREATE DATABASE of_{n}")
                where["PostgreSQL", n] = uri.replace("/postgres?", f"/of_{n}?")
                where["SQLite", n] = f"sqlite:///{folder}/{n}.db"
        for filling in [pool.submit(fill, at, count, folder) for (_, count), at in where.items()]:
            filling.result()
        apps = {(kind, count): portal(at, count, folder) for (kind, count), at in where.items()}
        yield apps
        for app in apps.values():
            with app.app_context():
                db.engine.dispose()


def measure(figures: Figures, folder: Path, turns: int) -> None:
    """Do each deed by turns among few and many."""
    with portals(folder) as apps:
        for (kind, count), app in list(apps.items()) * turns:
            n = random.randrange(count)
            with app.app_context():
                for name, deed in DEEDS.items():
                    figures[f"{name}, {count}", kind].append(timed(deed, n))
                figures[f"search, {count}", kind] += [timed(search, query) for query in queries(n)]


def draw() -> float:
    """Draw a puzzle, and return the milliseconds of processor it took."""
    began = time.process_time()
    puzzles = Puzzles(b"bench" * 8)
    now = datetime.now(UTC)
    drawing.draw(puzzles.pictures(puzzles.new("bench", now).token, now))
    return (time.process_time() - began) * 1000
