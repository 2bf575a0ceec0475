"""A Dovecot 2.3 on loopback, with one mailbox, for the trial: many offices have it."""

import grp
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

from tests.imap_server import PASSWORD, Mailbox
from tests.server.conftest import free_port, until

PROGRAM = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
CONFIG = """
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = required
ssl_cert = <{folder}/server.pem
ssl_key = <{folder}/server.pem
mail_location = maildir:{folder}/mail
first_valid_uid = 1
{users}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


def version() -> str:
    """Return the version, or "" where Dovecot is not installed."""
    found = PROGRAM and subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout
    return (found or "").split()[0] if found else ""


class Dovecot(Mailbox):
    def __init__(self, authority: str, port: int):
        self.authority, self.port = authority, port


@contextmanager
def listening() -> Iterator[Dovecot]:
    folder = Path(tempfile.mkdtemp(prefix="kmz-dovecot-"))  # short: paths of sockets end at 107 characters
    authority, port = trustme.CA(), free_port()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    # As root it serves the mailbox of the user nobody, and has users of its own for the rest.
    root = os.geteuid() == 0
    me, users = pwd.getpwnam("nobody") if root else pwd.getpwuid(os.geteuid()), ""
    if not root:
        group = grp.getgrgid(me.pw_gid).gr_name
        users = f"default_internal_user={me.pw_name}\ndefault_internal_group={group}\ndefault_login_user={me.pw_name}"
    (folder / "mail").mkdir()
    os.chown(folder / "mail", me.pw_uid, me.pw_gid)
    folder.chmod(0o755)
    values = {"folder": folder, "port": port, "password": PASSWORD, "uid": me.pw_uid, "gid": me.pw_gid}
    (folder / "dovecot.conf").write_text(CONFIG.format(**values, users=users))
    process = subprocess.Popen([str(PROGRAM), "-F", "-c", folder / "dovecot.conf"])
    try:
        server = Dovecot(str(folder / "ca.pem"), port)
        until(lambda: _answers(server), within=20)
        yield server
    finally:
        process.terminate()
        process.wait(20)
        print((folder / "log").read_text())
        shutil.rmtree(folder)


def _answers(server: Dovecot) -> bool:
    try:
        return server.count() == 0
    except OSError:
        return False
