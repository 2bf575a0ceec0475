"""A forked process that does one thing and never outlives its parent."""

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable

#: What the parent waits for instead of being interrupted by it; children start without the block.
WATCHED = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15

Run = Callable[[], int]


def start(name: str, run: Run) -> int:
    """Fork a process that ends with the status `run` returns, and return its id; `ps -e` shows the name."""
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        os._exit(_live(name, run, parent))
    return pid


def status_of(pid: int) -> int | None:
    """Return the exit status of a process that has ended, as a shell counts it; None while it lives."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return _as_shell(status) if found else None


def wait(pid: int) -> int:
    """Wait for a process to end, and return its status likewise."""
    return _as_shell(os.waitpid(pid, 0)[1])


def _as_shell(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def die_with(parent: int) -> None:
    """Let the kernel end this process when its parent is gone, however it went."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)


def _live(name: str, run: Run, parent: int) -> int:
    try:
        die_with(parent)
        ctypes.CDLL(None).prctl(PR_SET_NAME, name.encode())
        for signum in WATCHED:
            signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)
        return run()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
