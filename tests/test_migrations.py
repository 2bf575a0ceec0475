"""The migrations create exactly the tables of the models, on both databases."""

import json
import re
import subprocess
import sys
import tarfile
from datetime import datetime
from pathlib import Path

import flask_migrate
import pytest
from sqlalchemy import MetaData, Table, column, create_engine, insert, inspect, make_url, select, table, text

from kmzportal import create_app, settings
from kmzportal.db import db
from kmzportal.migrations import migrate
from kmzportal.models import Clerk, Customer
from kmzportal.services.second_factor import SecondFactor
from kmzportal.services.tokens import LinkKeys

ROOT = Path(__file__).parents[1]


@pytest.fixture(params=["sqlite", "postgresql"])
def app(request, tmp_path):
    """The application with an empty database."""
    settings = {}
    if request.param == "postgresql":
        settings["SQLALCHEMY_DATABASE_URI"] = new_database(request.getfixturevalue("postgres_uri"))
    app = create_app(settings, tmp_path)
    migrate.init_app(app)
    yield app
    with app.app_context():
        db.engine.dispose()


def new_database(uri):
    engine = create_engine(uri, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS empty"))
        connection.execute(text("CREATE DATABASE empty"))
    engine.dispose()
    return make_url(uri).set(database="empty").render_as_string(hide_password=False)


def test_up_down_and_up_again_ends_with_the_tables_of_the_models(app):
    with app.app_context():
        flask_migrate.upgrade()
        assert inspect(db.engine).has_table("customer")
        flask_migrate.downgrade(revision="base")
        assert inspect(db.engine).get_table_names() == ["alembic_version"]
        flask_migrate.upgrade()
        flask_migrate.check()  # raises SystemExit if they differ


def test_of_several_processes_one_migrates_and_the_others_wait(app):
    command = [sys.executable, "-m", "kmzportal", "db", "upgrade"]
    environment = {
        "KMZPORTAL_INSTANCE_PATH": app.instance_path,
        "KMZPORTAL_SQLALCHEMY_DATABASE_URI": app.config["SQLALCHEMY_DATABASE_URI"],
    }
    processes = [subprocess.Popen(command, cwd=ROOT, env=environment) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    with app.app_context():
        flask_migrate.check()


PERSON = {"id": 1, "created_at": "2025-01-01 08:00:00", "version": 1, "password_hash": "a hash of Argon2id"}
ERIKA = dict.fromkeys(("salutation", "first_name", "school", "street", "postcode", "town", "phone"), "") | {
    "number": "K-1", "last_name": "Mustermann", "imported": "{}",
    "email": "erika@schule.example", "email_canonical": "erika@schule.example",
}  # fmt: skip
ROSA = {"name": "Rosa", "initials": "ro", "email": "ro@kmz.example", "email_canonical": "ro@kmz.example", "admin": True}


def test_an_update_from_the_first_version_keeps_people_and_factors_and_makes_backups_before(app, capsys):
    link_key = app.config["LINK_KEY"]
    for name in ("factor_key", "audit_key"):  # came later
        Path(app.instance_path, name).unlink()
    with app.app_context():
        flask_migrate.upgrade(revision="0001")
        add("customer", ERIKA | PERSON)
        add("clerk", ROSA | PERSON)
        flask_migrate.upgrade(revision="0002")
        with db.engine.begin() as connection:
            connection.execute(text("UPDATE clerk SET factor_nonce = 'nonce of ro'"))
        capsys.readouterr()
        flask_migrate.upgrade()
        kept = Path(re.search("Datenbank: 0002 → .+, vorher gesichert in (.+)", capsys.readouterr().out)[1])
        erika, rosa = db.session.scalar(select(Customer)), db.session.scalar(select(Clerk))
        assert (erika.number, erika.email, erika.password_hash) == ("K-1", ERIKA["email"], PERSON["password_hash"])
        factor_key = settings.load(Path(app.instance_path), {})[0]["FACTOR_KEY"]
        secrets = {SecondFactor(LinkKeys([key]), rosa.factor_nonce).secret for key in (factor_key, link_key)}
        assert len(secrets) == 1
        db.session.remove()
        flask_migrate.upgrade()
        assert capsys.readouterr().out == ""
    with tarfile.open(kept) as archive:
        manifest = json.loads(archive.extractfile("manifest.json").read())
    assert (manifest["schema"], manifest["rows"]["customer"], manifest["rows"]["clerk"]) == ("0002", 1, 1)
    assert len(list(kept.parent.iterdir())) == 2


def add(name, row):
    with db.engine.begin() as connection:
        connection.execute(insert(table(name, *map(column, row))).values(row))


def test_customers_whose_numbers_differ_only_in_spelling_stay_and_are_found_by_it(app):
    with app.app_context():
        flask_migrate.upgrade(revision="0008")
        numbers = ("K-1", "k-1", "K\u20111", "K-2")
        empty = ["salutation", "first_name", "school", "street", "postcode", "town", "phone", "search"]
        table = Table("customer", MetaData(), autoload_with=db.session.connection())
        for id_, number in enumerate(numbers, 1):
            address = f"{id_}@x.example"
            values = {"id": id_, "number": number, "email": address, "email_canonical": address, "last_name": "x"}
            values |= {"created_at": datetime(2026, 1, 1), "version": 1} | dict.fromkeys(empty, "")
            db.session.execute(table.insert().values(values | {"imported": {}}))
        db.session.commit()
        flask_migrate.upgrade()
        for number in numbers:
            assert db.session.scalar(Customer.with_number(number)).number == number
        assert db.session.scalar(Customer.with_number("K–1")).number == "K-1"
        twin = db.session.scalar(Customer.with_number("k-1"))
        twin.town = "Calw"
        db.session.commit()
