"""The processes of `kmzportal serve`: gunicorn, its web workers and its background worker."""

import os
import socket
import sys
from typing import NoReturn

#: glibc reads these only at process start. Argon2 fills 64 MiB per password; with huge pages a login takes 20 % less
#: CPU time. A fixed threshold returns freed memory to the system (docs/decisions/0041).
TUNABLES = ("glibc.malloc.hugetlb=1", "glibc.malloc.mmap_threshold=131072")


def port_fault(host: str, port: int) -> str | None:
    """Return in German why no server can listen on this port, or None."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        socket.create_server((host, port), family=family).close()
    except (OSError, OverflowError, UnicodeError):  # UnicodeError: not even a name of a host
        port_is_free = False
    else:
        port_is_free = port > 0  # 0 would be a port that changes with each start
    if not port_is_free:
        return f"{host}, Port {port}, ist nicht frei oder keine Adresse dieses Rechners. Ändern Sie --port oder --host."
    return None


def become_gunicorn(
    host: str, port: int, app: str = "kmzportal:create_app()", with_worker: bool = True, log_format: str = "text"
) -> NoReturn:
    """Replace this process by gunicorn, which serves the app returned by the expression; see gunicorn_conf.py."""
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    settings = ["--config", "python:kmzportal.server.gunicorn_conf", "--bind", address]
    # The operator's come last and take precedence.
    tunables = filter(None, [*TUNABLES, os.environ.get("GLIBC_TUNABLES")])
    environment = {
        "KMZ_BACKGROUND_WORKER": "1" if with_worker else "0",
        "KMZ_LOG_FORMAT": log_format,
        "GLIBC_TUNABLES": ":".join(tunables),
    }
    sys.stdout.flush()
    sys.stderr.flush()
    # -P: no module is imported from the folder where the operator stands (CWE-427).
    command = [sys.executable, "-P", "-m", "kmzportal.server", *settings, app]
    os.execve(sys.executable, command, os.environ | environment)  # noqa: S606  no shell is wanted
