"""The same deeds of the portal among a thousand customers and among a million, on one database and the other."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from statistics import quantiles

from flask import Flask
from sqlalchemy import create_engine, select, text

from bench.table import HERE, figures, timed
from kmzportal import create_app
from kmzportal.db import db
from kmzportal.migrations import upgrade
from kmzportal.models.customer import Customer, search_text
from kmzportal.robot_check import drawing
from kmzportal.robot_check.puzzle import Puzzles
from kmzportal.services import recovery, sessions
from kmzportal.services.passwords import PasswordCheck, hash_password
from kmzportal.services.search import search as search_customers
from kmzportal.services.transaction import transaction
from tests import postgres


def portal(**settings: str) -> Flask:
    app = create_app(settings)
    upgrade(app)
    return app


def fill(app: Flask, count: int, password_hash: str = "") -> None:
    """Enter so many customers. The index of words is made afterwards, which is far quicker."""
    with app.app_context():
        using = "USING gin (search gin_trgm_ops)" if db.engine.dialect.name == "postgresql" else "(search)"
        before, after = ["DROP INDEX customer_search"], [f"CREATE INDEX customer_search ON customer {using}", "ANALYZE"]
        for statement in (*before, (HERE / "customers.sql").read_text("utf-8"), *after):
            db.session.execute(text(statement), {"count": count, "password_hash": password_hash})
        db.session.commit()


def log_in(who: Customer) -> None:
    """All of a login but the hashing, which would hide the database."""
    proof = PasswordCheck(sessions.find_password_hash(db.session(), who.email), True)
    with transaction("visitor") as tx:
        assert sessions.log_in(tx, who.email, proof, "Firefox")


def forget(who: Customer) -> None:
    """All of Passwort vergessen but the mail: the request, and the worker's answer to it."""
    with transaction("visitor") as tx:
        recovery.request_link(tx, who.email)
    for request in recovery.unanswered(db.session()):
        with transaction("worker") as tx:
            recovery.answer(tx, request)


def search(query: str) -> None:
    found = search_customers(db.session(), query)
    db.session.rollback()  # as each request ends
    assert found, query


def anybody(count: int) -> Customer:
    who = db.session.scalars(select(Customer).filter_by(number=f"K-{random.randint(1, count)}")).one()
    assert who.search == search_text(who)
    return who


def find_one(database: str, count: int) -> None:
    """Do, for anybody, what an index of its own leads to."""
    who = anybody(count)
    timed(f"login, {count}", database, log_in, who)
    timed(f"forgot, {count}", database, forget, who)
    for named in (who.number, who.email):
        timed(f"look-up, {count}", database, search, named)


def search_words(database: str, count: int) -> None:
    """Search for a name, two, one and a school, half of it, too little, with a slip."""
    who = anybody(count)
    name, town, slip = who.last_name, who.town, who.last_name[:2] + who.last_name[1:]
    typed = (name, f"{name} {who.first_name}", f"{who.school} {name[:4]}", who.phone, town, f"schule {town}")
    for query in (*typed, slip, f"{who.first_name} {slip}", f"{town} {slip}"):
        timed(f"search, {count}", database, search, query, takes=3)


def measure(folder: str, rounds: int) -> None:
    """Take turns among few and many customers, the same ones in each run; draw puzzles."""
    random.seed(1)
    apps = {}
    with postgres.server() as uri, create_engine(uri, isolation_level="AUTOCOMMIT").connect() as connection:
        for count in (1_000, 50_000, 1_000_000):
            connection.exec_driver_sql(f"CREATE DATABASE of_{count}")
            places = {"PostgreSQL": uri.replace("/postgres?", f"/of_{count}?"), "SQLite": f"sqlite:///{folder}/{count}"}
            apps |= {(kind, count): portal(SQLALCHEMY_DATABASE_URI=at) for kind, at in places.items()}
        with ThreadPoolExecutor() as pool:
            list(pool.map(fill, apps.values(), [count for _, count in apps]))
        # One after the other, since a search leaves nothing else in the caches.
        for turn, times in ((find_one, 10 * rounds), (search_words, 2 + rounds)):
            for (database, count), app in list(apps.items()) * times:
                with app.app_context():
                    turn(database, count)
    for database, count in apps:
        figures[f"search p95, {count}", database] = [quantiles(figures[f"search, {count}", database], n=20)[-1]]
    began, now, puzzles = time.process_time(), datetime.now(UTC), Puzzles(b"bench" * 8)
    for _ in range(rounds):
        drawing.draw(puzzles.pictures(puzzles.new("bench", now).token, now))
    figures["a puzzle, ms of processor", "the portal"] = [(time.process_time() - began) * 1000 / rounds]


if __name__ == "__main__":
    print(hashed := hash_password("kirschbaum im april"))
    fill(portal(), 10_000, hashed)
