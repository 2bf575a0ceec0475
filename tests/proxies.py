"""nginx and Caddy on loopback, with the files of deploy/ and a certificate of the test's own authority."""

import os
import shutil
import socket
import ssl
import subprocess
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import trustme

from tests.server.conftest import ROOT, free_port, until

HOST = "konto.kmz.example"
DEPLOY = ROOT / "deploy"
PROGRAMS = {name: shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin") for name in ("nginx", "caddy")}
NGINX = """
{user}
daemon off;
pid {folder}/pid;
error_log {folder}/main.log;
events {{
}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


def replace(text: str, values: dict[str, object]) -> str:
    """Replace each text, which must be there."""
    for old, new in values.items():
        assert old in text, old
        text = text.replace(old, str(new))
    return text


class Proxy:
    """One of the programs in front of a portal; `folder` holds all that it logs."""

    def __init__(self, program: str, folder: Path, portal_port: int):
        self.folder, self.upstream = folder, f"127.0.0.1:{portal_port}"
        self.http_port, self.https_port = free_port(), free_port()
        authority = trustme.CA()
        certificate = authority.issue_cert(HOST)
        certificate.private_key_pem.write_to_path(folder / "key.pem")
        for blob in certificate.cert_chain_pems:
            blob.write_to_path(folder / "chain.pem", append=True)
        self.tls = ssl.create_default_context()
        authority.configure_trust(self.tls)
        assert PROGRAMS[program], f"{program} is not installed: run tools/servers as root"
        command = getattr(self, f"_{program}")(str(PROGRAMS[program]))
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "KMZPORTAL_UPSTREAM": self.upstream}
        with (folder / "output.log").open("wb") as output:
            self.process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        until(self._listens, within=20)

    def _nginx(self, program: str) -> list[str]:
        values = {
            "    listen [::]:443 ssl http2;\n": "",
            "    listen [::]:80;\n": "",
            "listen 443": f"listen 127.0.0.1:{self.https_port}",
            "listen 80": f"listen 127.0.0.1:{self.http_port}",
            "127.0.0.1:8000": self.upstream,
            f"/etc/letsencrypt/live/{HOST}/fullchain.pem": self.folder / "chain.pem",
            f"/etc/letsencrypt/live/{HOST}/privkey.pem": self.folder / "key.pem",
            "/usr/share/kmzportal": DEPLOY,
            "/var/log/nginx": self.folder,
        }
        (self.folder / "site.conf").write_text(replace((DEPLOY / "nginx.conf").read_text("utf-8"), values))
        user = "user root;" if os.geteuid() == 0 else ""
        (self.folder / "nginx.conf").write_text(NGINX.format(folder=self.folder, user=user))
        return [program, "-c", str(self.folder / "nginx.conf"), "-e", str(self.folder / "start.log")]

    def _caddy(self, program: str) -> list[str]:
        ports = f"\thttp_port {self.http_port}\n\thttps_port {self.https_port}\n"
        values = {
            "{\n\tlog {": f"{{\n\tadmin off\n\tdefault_bind 127.0.0.1\n{ports}\tlog {{",
            "# tls /etc/ssl/konto.pem /etc/ssl/konto.key": f"tls {self.folder}/chain.pem {self.folder}/key.pem",
            "/usr/share/kmzportal": DEPLOY,
        }
        (self.folder / "Caddyfile").write_text(replace((DEPLOY / "Caddyfile").read_text("utf-8"), values))
        return [program, "run", "--adapter", "caddyfile", "--config", str(self.folder / "Caddyfile")]

    def _listens(self) -> bool:
        assert self.process.poll() is None, self.logged
        try:
            for port in (self.http_port, self.https_port):
                socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            return False
        return True

    def connect(self) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.https_port), timeout=20)
        return self.tls.wrap_socket(plain, server_hostname=HOST)

    def fetch(self, path: str, method: str = "GET", body: Any = None, https: bool = True, **headers: str) -> "Answer":
        connection = HTTPConnection("127.0.0.1", self.http_port, timeout=20)
        if https:
            connection.sock = self.connect()
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, {"Host": HOST, **names})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def on_disk(self) -> int:
        """Return the bytes of answers that nginx's processes keep in files, which have no name any more."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        files = (file for child in children for file in Path(f"/proc/{child}/fd").iterdir())
        return sum(file.stat().st_size for file in files if str(file.readlink()).startswith(f"{self.folder}/proxy/"))

    @property
    def logged(self) -> str:
        return "".join(path.read_text() for path in self.folder.glob("*.log"))

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(20)


class Answer:
    def __init__(self, response: HTTPResponse):
        self.status, self.headers, self.text = response.status, response.headers, response.read().decode()
