"""Backups: one file (tar.gz) with the database, the configuration without secrets, and the office's own pages.

A backup holds no key, so whoever steals it gets no link, code or second factor. It is written under another name, read
back and checked before its own name appears. docs/decisions/0051 describes the format.
"""

import hashlib
import json
import os
import re
import shutil
import sqlite3
import tarfile
import tomllib
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from sqlalchemy import make_url

from kmzportal.db import NEWEST_VERSION, db
from kmzportal.services import postgres_tools
from kmzportal.services.refusals import OperationRefused
from kmzportal.settings import BY_NAME

FORMAT = 1
MANIFEST, CONFIG = "manifest.json", "config.toml"
DATABASES = {"sqlite": "kmzportal.db", "postgresql": "kmzportal.dump"}
OUR_NAME = re.compile(r"kmzportal-\d{8}-\d{6}\.tar\.gz")
DAMAGED = "{file} ist keine Sicherung des Portals oder ist beschädigt ({why}). Nehmen Sie eine andere."
NOT_A_BACKUP = (tarfile.TarError, OSError, EOFError, zlib.error, sqlite3.Error)  # the file, or the database in it
BAD_MANIFEST = (LookupError, AttributeError, TypeError, ValueError)
DAMAGED_DATABASE = (
    "Die Datenbank ist beschädigt ({why}): Spielen Sie die letzte Sicherung ein (kmzportal restore DATEI)."
)
NEWER_DATABASE = (
    "Die Datenbank hat den Stand {version}, dieses Programm kennt nur {newest}: Installieren Sie wieder die neuere "
    "Fassung von kmzportal, oder spielen Sie eine Sicherung von vor der Umstellung ein (kmzportal restore DATEI)."
)

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Manifest:
    format: int
    portal: str  #: version of the code
    schema: str  #: version of the database
    made_at: str  #: UTC, ISO 8601
    engine: str  #: a key of DATABASES
    rows: dict[str, int]  #: of each table
    members: dict[str, str]  #: SHA-256 of each file


class DamagedDatabase(OperationRefused):
    """SQLite cannot read its file."""


def is_damage(error: BaseException | None) -> bool:
    """Return whether this is SQLite's error for a file that it cannot read."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def refuse_newer(schema: str | None) -> None:
    """Raise OperationRefused for a database that a newer version of this code has migrated."""
    if schema and schema > NEWEST_VERSION:
        raise OperationRefused(NEWER_DATABASE.format(version=schema, newest=NEWEST_VERSION))


def create(instance: Path, settings: Settings, target: Path | None = None, *, prune: bool = True) -> Path:
    """Write a backup to `target`, or into instance/backups, where only BACKUP_KEEP of them stay. Return its path.

    Without `prune` all of them stay: a restore may have to be repeated, and needs its file and what it replaces.
    """
    made_at, backups = datetime.now(UTC), instance / "backups"
    target = target or _free_name(backups, made_at)
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".kmzportal-", dir=target.parent) as folder:
            content, archive = Path(folder, "content"), Path(folder, "archive")
            content.mkdir()
            engine = db.engine.dialect.name
            schema, rows = _copy_database(content / DATABASES[engine])
            _copy_files(instance, content)
            files = sorted(path for path in content.rglob("*") if path.is_file() and not path.is_symlink())
            members = {str(path.relative_to(content)): _sha256(path) for path in files}
            manifest = Manifest(FORMAT, version("kmzportal"), schema, made_at.isoformat(), engine, rows, members)
            (content / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1), "utf-8")
            with _lasting(archive) as out, tarfile.open(fileobj=out, mode="w:gz") as packed:
                for name in (MANIFEST, *members):
                    packed.add(content / name, name)
            shutil.rmtree(content)
            unpack(archive, content, schema)  # read back
            archive.replace(target)
    except (OSError, sqlite3.Error) as error:
        if is_damage(error):
            raise DamagedDatabase(DAMAGED_DATABASE.format(why=error)) from None
        raise OperationRefused(f"{target} kann nicht geschrieben werden ({error}).") from None
    ours = sorted(path for path in backups.glob("*") if OUR_NAME.fullmatch(path.name))
    for path in ours[: -settings["BACKUP_KEEP"]] if prune else ():
        if path.name != target.name:  # under a wrong clock it may be the oldest by its name
            path.unlink()
    return target


def unpack(file: Path, folder: Path, newest: str | None = NEWEST_VERSION) -> Manifest:
    """Extract a backup into a new folder and check it: sums, database, number of rows. Raises OperationRefused.

    A database of a version after `newest` is refused.
    """
    folder.mkdir(mode=0o700)
    try:
        with tarfile.open(file, "r:gz") as archive:
            facts = json.loads(archive.extractfile(MANIFEST).read())  # type: ignore[union-attr]
            if facts["format"] > FORMAT or (newest and facts["schema"] > newest):
                raise OperationRefused(
                    f"{file} stammt von einer neueren Fassung von kmzportal. Installieren Sie diese."
                )
            manifest = Manifest(**facts)
            for name, digest in manifest.members.items():
                _extract(archive, name, digest, folder.resolve())
        _check_database(folder, manifest)
    except (*NOT_A_BACKUP, *BAD_MANIFEST) as why:
        raise OperationRefused(DAMAGED.format(file=file, why=why)) from None
    return manifest


def _extract(archive: tarfile.TarFile, name: str, digest: str, folder: Path) -> None:
    """Extract a file, without the filters of tarfile, which the Python 3.11.2 of Debian 12 lacks."""
    path = (folder / name).resolve()
    path.relative_to(folder)  # ValueError for a name that leads elsewhere
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as copy:
        shutil.copyfileobj(archive.extractfile(name), copy)  # type: ignore[arg-type]
    if _sha256(path) != digest:
        raise ValueError(f"Prüfsumme von {name}")


def write_keys(settings: Settings, file: Path) -> None:
    """Write all secrets of the settings into a file of their own, as TOML."""
    secrets = {name: settings[name] for name in BY_NAME if BY_NAME[name].secret and settings[name]}
    if make_url(settings["SQLALCHEMY_DATABASE_URI"]).password:
        secrets["SQLALCHEMY_DATABASE_URI"] = settings["SQLALCHEMY_DATABASE_URI"]
    try:
        write_private(file, toml(secrets))
    except OSError as error:
        raise OperationRefused(f"{file} kann nicht geschrieben werden ({error.strerror}).") from None


def write_private(path: Path, text: str) -> None:
    """Replace a file by one that only its owner can read, at once and lastingly."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with _lasting(temporary) as out:
        out.write(text.encode())
    temporary.replace(path)


@contextmanager
def _lasting(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that only its owner can read; what is written is on the disk when it is closed (fsync)."""
    path.touch(0o600)
    with path.open("wb") as out:
        yield out
        out.flush()
        os.fsync(out.fileno())


def toml(values: Mapping[str, Any]) -> str:
    """Return settings as TOML; its texts, numbers and lists are written as in JSON."""
    return "".join(f"{name} = {json.dumps(value, ensure_ascii=False, default=str)}\n" for name, value in values.items())


def _free_name(folder: Path, at: datetime) -> Path:
    while (path := folder / f"kmzportal-{at:%Y%m%d-%H%M%S}.tar.gz").exists():
        at += timedelta(seconds=1)
    return path


def _copy_database(copy: Path) -> tuple[str, dict[str, int]]:
    """Copy the database in one transaction; return its version and its number of rows by table."""
    if db.engine.dialect.name == "postgresql":
        return postgres_tools.dump(copy)
    with closing(sqlite3.connect(str(db.engine.url.database))) as source:
        source.execute("VACUUM INTO ?", [str(copy)])  # also without what deleted rows left in free pages
    return _content_of_sqlite(copy)


def _content_of_sqlite(path: Path) -> tuple[str, dict[str, int]]:
    with closing(sqlite3.connect(path)) as database:
        tables = database.execute(
            r"SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'"
        )
        counts = {name: database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for (name,) in tables}  # noqa: S608
        return database.execute("SELECT version_num FROM alembic_version").fetchone()[0], counts


def _check_database(folder: Path, manifest: Manifest) -> None:
    path = folder / DATABASES[manifest.engine]
    if manifest.engine == "postgresql":
        postgres_tools.check_dump(path)
        return
    with closing(sqlite3.connect(path)) as database:
        if (result := database.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
            raise ValueError(f"Datenbank: {result}")
    if _content_of_sqlite(path) != (manifest.schema, manifest.rows):
        raise ValueError("Zahl der Zeilen")


def _copy_files(instance: Path, content: Path) -> None:
    """Copy what belongs to the office. No other file: any may hold a key."""
    if (instance / CONFIG).exists():
        own = tomllib.loads((instance / CONFIG).read_text("utf-8"))
        public = {name: own[name] for name in own if name in BY_NAME and not BY_NAME[name].secret}
        if uri := public.get("SQLALCHEMY_DATABASE_URI"):
            public["SQLALCHEMY_DATABASE_URI"] = postgres_tools.without_password(make_url(uri))
        (content / CONFIG).write_text(toml(public), "utf-8")
    if (instance / "pages").is_dir():
        shutil.copytree(instance / "pages", content / "pages", symlinks=True)  # a link may lead to a key


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
