"""The four that are compared: how each is filled, started and stopped, and how much of the machine it takes."""

import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

from bench.browser import Browser
from kmzportal.server.web_server import OPTIONS

HERE = Path(__file__).parent
GUNICORN = ["--preload", "--no-control-socket", "--log-level=warning"]
GUNICORN += [f"--{name.replace('_', '-')}={OPTIONS[name]}" for name in ("workers", "threads", "worker_class")]
WITHIN = 30  # seconds to start, or to stop
PASSWORD = "kirschbaum im april"  # noqa: S105  invented, like everybody who has it


class System:
    """One of the four. Its own processes, database and port; everything else is the same for all."""

    def __init__(self, name: str, module: str, home: str = "", link: str = "", **pages: dict[str, Any]):
        self.name, self.module, self.link, self.port = name, module, link, free_port()
        self.pages = {page: {"path": "", **facts} for page, facts in pages.items()}
        self.bin = HERE / ".peers" / home / "bin" if home else Path(sys.executable).parent
        self.process: subprocess.Popen[str] | None = None

    def run(self, folder: Path, mail_port: int, *command: object, **how: Any) -> subprocess.Popen[str]:
        ours = {"INSTANCE_PATH": folder / "portal", "PUBLIC_URL": f"http://127.0.0.1:{self.port}"}
        ours |= {"MAIL_SERVER": "127.0.0.1", "MAIL_PORT": mail_port}
        bench = {"DATABASE": folder / f"{self.module}.db", "MAIL_PORT": mail_port, "PASSWORD": PASSWORD}
        given = {f"KMZPORTAL_{key}": str(value) for key, value in ours.items()}
        given |= {f"BENCH_{key}": str(value) for key, value in bench.items()}
        return subprocess.Popen([*map(str, command)], env=os.environ | given, cwd=HERE.parent, text=True, **how)

    def fill(self, folder: Path, mail_port: int, customers: int) -> str:
        """Make its database with so many customers, who all have the same password; return the hash."""
        filler = self.bin / "python", "-m", f"bench.apps.{self.module}", customers
        said, _ = self.run(folder, mail_port, *filler, stdout=subprocess.PIPE).communicate()
        return str(said)

    def start(self, folder: Path, mail_port: int) -> float:
        """Start it, and return the seconds until its login page was right for the first time."""
        began = time.perf_counter()
        bind = f"--bind=127.0.0.1:{self.port}"
        peer = self.bin / "python", "-m", "gunicorn", *GUNICORN, bind, f"bench.apps.{self.module}:app"
        ours = self.bin / "kmzportal", "serve", "--port", self.port
        command = ours if self.module == "portal" else peer
        self.process = self.run(folder, mail_port, *command, stdout=subprocess.DEVNULL)
        while self.process.poll() is None and time.perf_counter() - began < WITHIN:
            try:
                Browser(self.port).open(self.pages["login"])
                return time.perf_counter() - began
            except OSError:
                time.sleep(0.005)
        raise RuntimeError(f"{self.name} does not start")

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            everyone = self.processes()
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(WITHIN)
            except subprocess.TimeoutExpired:
                for pid in everyone:
                    os.kill(pid, signal.SIGKILL)

    def processes(self) -> list[int]:
        """Return the ids of all that serve pages, parents first; the portal's worker answers no request."""
        found = [self.process.pid] if self.process else []
        for pid in found:
            found += [child for child in children(pid) if (proc(child) / "comm").read_text() != "kmz-worker\n"]
        return found

    def cpu(self) -> float:
        """Return the seconds of processor that they have used, in user and system mode."""
        stats = [(proc(pid) / "stat").read_text().rpartition(")")[2].split() for pid in self.processes()]
        return sum(int(stat[11]) + int(stat[12]) for stat in stats) / os.sysconf("SC_CLK_TCK")

    def web_workers(self) -> list[Path]:
        return [proc(pid) for pid in self.processes() if not children(pid)]

    def memory(self, what: str) -> float:
        """Return MiB of its largest web worker: `VmRSS` now, `VmHWM` at the highest since forget_peak()."""
        statuses = [(path / "status").read_text() for path in self.web_workers()]
        return max(int(status.partition(f"{what}:")[2].split()[0]) for status in statuses) / 1024

    def forget_peak(self) -> None:
        for path in self.web_workers():
            (path / "clear_refs").write_text("5")


def proc(pid: int) -> Path:
    return Path(f"/proc/{pid}")


def children(pid: int) -> list[int]:
    """Return what its main thread has started; other threads start nothing."""
    return [int(child) for child in (proc(pid) / "task" / str(pid) / "children").read_text().split()]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


ALL = [System(**facts) for facts in tomllib.loads((HERE / "systems.toml").read_text("utf-8"))["system"]]
PORTAL, LIMIT, *PEERS = ALL
