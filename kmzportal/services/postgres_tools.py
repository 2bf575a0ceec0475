"""PostgreSQL's own tools, pg_dump and pg_restore, for backups."""

import os
import shutil
import subprocess
import time
from pathlib import Path

from sqlalchemy import URL, MetaData, func, inspect, select, table, text

from kmzportal.db import db
from kmzportal.services.refusals import OperationRefused
from kmzportal.setting_types import is_secret

IN_USE = "Die Datenbank wird noch benutzt (Verbindungen: {number}). Beenden Sie vorher das Portal auf allen Rechnern."
OTHERS = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)
CLOSE_WITHIN = 3.0  # seconds for the server to notice that a connection was closed


def dump(file: Path) -> tuple[str, dict[str, int]]:
    """Dump the tables; return the version and the number of rows by table, of the same snapshot."""
    with db.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        snapshot = connection.scalar(text("SELECT pg_export_snapshot()"))
        tables = inspect(connection).get_table_names()
        counts = {name: connection.scalar(select(func.count()).select_from(table(name))) or 0 for name in tables}
        version: str = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        names = [f"--table={name}" for name in tables]  # without the extension, which may belong to another user
        options = ("--format=custom", "--no-owner", "--no-acl", f"--snapshot={snapshot}", f"--file={file}")
        _run_connected("pg_dump", *options, *names)
    return version, counts


def check_dump(file: Path) -> None:
    """Read a whole dump; raises ValueError."""
    try:
        _run("pg_restore", "--file=/dev/null", str(file))
    except OperationRefused as refused:
        raise ValueError(str(refused)) from None


def load(file: Path) -> None:
    """Replace all tables by those of a dump. `pg_restore --clean` would leave those that only a newer version has."""
    with db.engine.begin() as connection:
        connection.execute(text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
        present = MetaData()
        present.reflect(connection)
        present.drop_all(connection)
    _run_connected("pg_restore", "--no-owner", "--no-acl", "--single-transaction", str(file))


def refuse_if_used() -> None:
    """Raise OperationRefused while others are connected to the database."""
    db.engine.dispose()
    deadline = time.monotonic() + CLOSE_WITHIN
    # Within one transaction pg_stat_activity would show the same each time (PostgreSQL, "Viewing Statistics").
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while number := connection.scalar(OTHERS):
            if time.monotonic() > deadline:
                raise OperationRefused(IN_USE.format(number=number))
            time.sleep(0.1)


def without_password(url: URL) -> str:
    query = {name: value for name, value in url.query.items() if not is_secret(name)}
    return str(URL.create(url.drivername, url.username, None, url.host, url.port, url.database, query))


def _run_connected(program: str, *arguments: str) -> None:
    """Run a tool on the database. Its password is no argument, which `ps` would show to everybody."""
    url = db.engine.url
    password = str(url.password or "")
    with db.engine.connect() as connection:
        major = connection.scalar(text("SELECT current_setting('server_version_num')::int / 10000"))
    address = f"--dbname={without_password(url.set(drivername='postgresql'))}"
    _run(program, address, *arguments, major=str(major), **({"PGPASSWORD": password} if password else {}))


def _run(program: str, *arguments: str, major: str = "", **environment: str) -> None:
    """Run the tool of the server's version, where Debian puts it, or the one on the PATH; raises OperationRefused."""
    cure = f"Abhilfe: apt install postgresql-client{major and f'-{major}'}."
    found = shutil.which(program, path=f"/usr/lib/postgresql/{major}/bin:{os.environ.get('PATH', '')}")
    if found is None:
        raise OperationRefused(f"{program} fehlt, ohne das es keine Sicherung von PostgreSQL gibt. {cure}")
    environment = os.environ | {"LC_ALL": "C"} | environment
    result = subprocess.run([found, *arguments], env=environment, capture_output=True, text=True, check=False)
    if "server version mismatch" in result.stderr:
        raise OperationRefused(f"{program} ist älter als der Server von PostgreSQL. {cure}")
    if result.returncode:
        raise OperationRefused(f"{program} meldet: {(result.stderr.strip().splitlines() or ['nichts'])[0]}")
