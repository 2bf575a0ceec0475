"""Portals in processes of their own, as an operator starts them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

COMMAND = (str(Path(sys.executable).with_name("kmzportal")),)  # the console script, as installed
ROOT = Path(__file__).parents[2]


def until(found: Callable[[], Any], within: float = 60) -> Any:
    """Return what is found as soon as it is true; fail after so many seconds."""
    deadline = time.monotonic() + within
    while not (it := found()):
        assert time.monotonic() < deadline, f"not within {within} seconds"
        time.sleep(0.02)  # another process sends no event
    return it


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Portal:
    """One `kmzportal …` with its folder, its output, and all processes that came of it."""

    started_by = COMMAND
    stands_in = ROOT

    def __init__(self, folder: Path, *command: str, **settings: str):
        self.folder = folder
        self.port = free_port()
        self.command = (*self.started_by, *command)
        ours = {f"KMZPORTAL_{name}": value for name, value in settings.items()}
        system = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.environment = {
            **system,
            "KMZPORTAL_INSTANCE_PATH": str(folder),
            "KMZPORTAL_PROXY_HOPS": "1",
            "KMZ_TEST": str(folder),
            **ours,
        }
        self.process: Any = None

    def start(self, stdin: int = subprocess.DEVNULL) -> "Portal":
        with (self.folder / f"output-{self.port}").open("wb") as output:
            self.process = subprocess.Popen(
                [*self.command, "--port", str(self.port)], cwd=self.stands_in, env=self.environment, stdin=stdin,
                stdout=output, stderr=output,
            )  # fmt: skip
        return self

    def end(self, signum: int = signal.SIGTERM) -> int:
        self.process.send_signal(signum)
        return self.process.wait(120)

    @property
    def output(self) -> str:
        return (self.folder / f"output-{self.port}").read_text()

    def answers(self, path: str = "/healthz", host: str = "127.0.0.1", within: float = 5) -> int | None:
        """Return the status of a page, or None while there is no answer within so many seconds."""
        connection = HTTPConnection(host, self.port, timeout=within)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            assert self.process.poll() is None, self.output
            return None
        finally:
            connection.close()

    def members(self, name: str = "") -> set[int]:
        """Return the ids of the living processes that came of this portal, whichever parent they have by now."""
        mark = f"KMZ_TEST={self.folder}\0".encode()
        all_there_are = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
        return {pid for pid in all_there_are if _reads(pid, "environ", mark) and _reads(pid, "comm", name.encode())}


def _reads(pid: int, file: str, text: bytes) -> bool:
    try:
        return text in Path(f"/proc/{pid}/{file}").read_bytes()
    except OSError:
        return False


@pytest.fixture
def start(tmp_path):
    """Start a portal; whatever is left of it after the test is ended by id."""
    portals = []

    def start(*command, **settings):
        portals.append(Portal(tmp_path, *command, **settings).start())
        return portals[-1]

    yield start
    for portal in portals:
        for pid in portal.members():
            with suppress(ProcessLookupError):  # its parent is dead, so it is going already
                os.kill(pid, signal.SIGKILL)
        portal.process.wait()
