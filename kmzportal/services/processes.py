"""Names of processes, to know later whether a process still runs (proc(5))."""

import os
import socket
from pathlib import Path

PROC = Path("/proc")


def own_name() -> str:
    """Return the machine, and the id and start of this process, as no other process has them at any time.

    The machine is a boot and a namespace of process ids: containers and copied hosts may share a host name.
    """
    boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
    namespace = (PROC / "self/ns/pid").readlink().name.strip("pid:[]")
    return f"{socket.gethostname()}/{boot}/{namespace} {os.getpid()}/{_started(os.getpid())}"


def has_ended(name: str) -> bool:
    """Return whether it was a process of this machine and runs no more; False for those of other machines."""
    machine, _, process = name.partition(" ")
    pid, _, started = process.partition("/")
    return machine == own_name().partition(" ")[0] and _started(int(pid)) != started


def _started(pid: int) -> str | None:
    """Return when the process began, in ticks since the boot; None when it has ended."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return None
    return fields[19] if fields[0] not in ("Z", "X") else None
