"""The checks that only PostgreSQL has."""

from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, text

from kmzportal.db import db
from kmzportal.doctor.check import Skip
from kmzportal.doctor.database import Database

pytestmark = pytest.mark.postgresql


@pytest.fixture
def checks(app):
    with app.app_context():
        yield Database(app, Path(app.instance_path), app.config, datetime.now(UTC))


def test_a_recent_server_with_free_connections_is_in_order(checks):
    assert checks.database() is checks.postgresql_version() is checks.connections() is None
    for only_sqlite in (checks.wal, checks.wal_size, checks.integrity):
        with pytest.raises(Skip):
            only_sqlite()


def test_a_missing_extension_is_a_fault(checks):
    db.session.execute(text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
    assert checks.pg_trgm() is None
    db.session.execute(text("DROP EXTENSION pg_trgm CASCADE"))
    assert checks.pg_trgm().status == "fail"
    db.session.rollback()


def test_few_free_connections_are_a_warning(checks):
    limit, engine = (
        int(db.session.scalar(text("SHOW max_connections"))),
        create_engine(db.engine.url, poolclass=NullPool),
    )
    with ExitStack() as opened:
        for _ in range(round(limit * 0.8)):
            opened.enter_context(engine.connect())
        found = checks.connections()
    assert found.status == "warn" and found.values["limit"] == limit
