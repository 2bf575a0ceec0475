"""How long the desk's search takes among many customers, on SQLite and on PostgreSQL."""

import random
import time
from statistics import quantiles

from sqlalchemy import select

from bench.customers import create_portal
from bench.systems import PORTAL
from bench.table import figures
from kmzportal.db import db
from kmzportal.models import Customer
from kmzportal.services.search import search
from tests import postgres


def queries(customer):
    """Yield what a clerk types to find this customer, the last ones with a typo."""
    name, town, typo = customer.last_name, customer.town, customer.last_name[:2] + customer.last_name[1:]
    yield from (customer.number, customer.email, customer.phone, name, f"{name} {customer.first_name}")
    yield from (f"{customer.school} {name[:4]}", town, f"schule {town}")
    yield from (typo, f"{customer.first_name} {typo}", f"{town} {typo}")


def p95(app, count, people):
    """Return the milliseconds within which 95 of 100 searches among so many customers are answered."""
    taken = []
    with app.app_context():
        for _ in range(people):
            wanted = select(Customer).filter_by(number=f"K-{random.randint(1, count)}")
            for query in list(queries(db.session.scalars(wanted).one())):
                began = time.perf_counter()
                found = search(db.session(), query)
                taken.append((time.perf_counter() - began) * 1000)
                db.session.rollback()  # as each request ends
                assert found and found.hits, query
        db.engine.dispose()
    return quantiles(taken, n=20)[-1]


def measure(folder, quick):
    random.seed(1)
    few, many, people = (500, 1000, 2) if quick else (50_000, 1_000_000, 20)
    sqlite = create_portal(few, SQLALCHEMY_DATABASE_URI=f"sqlite:///{folder}/search.db")
    figures["search SQLite", PORTAL.name] = [p95(sqlite, few, people)]
    with postgres.server() as uri:
        postgresql = create_portal(many, SQLALCHEMY_DATABASE_URI=uri)
        figures["search PostgreSQL", PORTAL.name] = [p95(postgresql, many, people)]
