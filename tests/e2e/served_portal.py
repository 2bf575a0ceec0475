"""The portal as it runs in production: `kmzportal serve` with processes and a folder of its own."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import func, select

from kmzportal import create_app
from kmzportal.db import db
from kmzportal.models import Heartbeat, MailState, OutgoingMail, RecoveryRequest
from tests import secret_scan
from tests.server.conftest import ROOT, Portal, until

CHEAP_HASHING = f"{ROOT / 'tests' / 'cheap'}:{ROOT}"  # see tests/cheap/sitecustomize.py


class ServedPortal(Portal):
    """A portal that runs until the end of the `with`; its settings are in the config.toml of its folder."""

    def __init__(
        self, folder: Path, public_url: str = "http://127.0.0.1:{port}", fast_hashing: bool = True, **settings: Any
    ):
        super().__init__(folder, "serve")
        if fast_hashing:
            self.environment["PYTHONPATH"] = CHEAP_HASHING
        self.url = public_url.format(port=self.port)
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in {"PUBLIC_URL": self.url, **settings}.items()]
        (folder / "config.toml").write_text("".join(lines))

    def __enter__(self) -> "ServedPortal":
        self.start()
        until(self.answers)
        self.app = create_app(instance=self.folder)
        return self

    def __exit__(self, *_: object) -> None:
        status = self.end()
        for pid in self.members():
            with suppress(ProcessLookupError):  # has ended already
                os.kill(pid, signal.SIGKILL)
        assert status == 0, self.output

    def run(self, *words: str) -> str:
        """Run a command of the command line and return its output."""
        command = [*self.started_by, *words]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def database(self) -> Iterator[Flask]:
        """Yield an application on its database; at the end wait for the worker, look for secrets, empty the tables."""
        yield self.app
        with self.app.app_context():
            until(lambda: not _waiting())
            secret_scan.check(self.app)
            with db.engine.begin() as connection:
                for table in reversed(db.metadata.sorted_tables):
                    if table.name != Heartbeat.__tablename__:
                        connection.execute(table.delete())
            db.engine.dispose()


def _waiting() -> int:
    """Return how many mails and requests the worker has not finished."""
    db.session.rollback()
    mails = select(func.count()).where(OutgoingMail.state.in_((MailState.QUEUED, MailState.DEFERRED)))
    requests = select(func.count()).where(RecoveryRequest.answered_at.is_(None))
    return (db.session.scalar(mails) or 0) + (db.session.scalar(requests) or 0)
