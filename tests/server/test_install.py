"""From the wheel to a customer who is logged in over HTTPS behind nginx, by the four commands of the README."""

import os
import re
import subprocess
import sys
import time
from contextlib import ExitStack
from urllib.parse import urlencode

import pytest

from tests.mail_server import MailServer, listening
from tests.proxies import HOST, Proxy
from tests.server.conftest import ROOT, Portal, until

pytestmark = pytest.mark.trial
PUBLIC_URL = f"https://{HOST}"
CUSTOMERS = "Kundennummer;Nachname;E-Mail\nK-1;Mustermann;erika@schule.example\n"
PASSWORD = "kirschbaum im april"


class Visitor:
    """A browser without JavaScript: keeps the cookie and sends the only form of a page."""

    def __init__(self, proxy):
        self.proxy, self.cookie, self.page, self.path = proxy, "", None, ""

    def open(self, path, method="GET", body=None):
        headers = {"Cookie": self.cookie, "Content_Type": "application/x-www-form-urlencoded", "Origin": PUBLIC_URL}
        self.path, self.page = path, self.proxy.fetch(path, method, body, **headers)
        for cookie in self.page.headers.get_all("Set-Cookie") or ():
            self.cookie = cookie.partition(";")[0]
        if self.page.status == 303:
            return self.open(self.page.headers["Location"])
        return self

    def submit(self, **fields):
        token = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', self.page.text)[1]
        return self.open(self.path, "POST", urlencode({"csrf_token": token, **fields}))


def readme_commands():
    section = (ROOT / "README.md").read_text("utf-8").split("## In production")[1]
    return section.split("```sh\n")[1].split("```")[0].strip().splitlines()


def test_four_commands_lead_to_a_customer_who_is_logged_in(tmp_path):
    began, home = time.monotonic(), tmp_path / "home"
    home.mkdir()
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, ROOT], check=True)
    (tmp_path / "requirements.txt").write_bytes((ROOT / "requirements.txt").read_bytes())
    (tmp_path / "kunden.csv").write_text(CUSTOMERS)
    install, init, start, load = readme_commands()
    places = {"/opt/kmzportal": str(tmp_path / "opt"), "/srv/kunden.xlsx": str(tmp_path / "kunden.csv")}
    for place, own in places.items():
        install, init, load = (command.replace(place, own) for command in (install, init, load))
    as_user, environment = "sudo -iu kmzportal ", {"PATH": os.environ["PATH"], "HOME": str(home)}

    def run(command, cwd=home):
        shell = ["sh", "-ec", command]
        return subprocess.run(shell, cwd=cwd, env=environment, check=True, capture_output=True, text=True)

    run(install, tmp_path)
    sink = MailServer()
    with listening(sink) as mail_port, ExitStack() as stack:
        answers = f"--url {PUBLIC_URL} --mail-server 127.0.0.1 --admin ro@kmz.example --name 'Rosa Otto' --initials ro"
        shown = run(f"{init.partition(as_user)[2]} {answers}").stdout
        assert re.search(rf"{PUBLIC_URL}/link/[\w-]{{43}}", shown)
        folder = home / "instance"
        assert start.replace("/var/lib/kmzportal", str(home)).split("deploy && ")[1].split(" ")[0] == "cp"
        unit = (folder / "deploy" / "kmzportal.service").read_text()
        program = re.search(r"^ExecStart=(.+) serve", unit, re.MULTILINE)[1]
        assert f"KMZPORTAL_INSTANCE_PATH={folder}" in unit and (folder / "deploy" / "nginx.conf").exists()
        portal = Portal(folder, "serve", MAIL_PORT=str(mail_port))
        portal.command = (program, "serve")
        stack.callback(lambda: portal.end())
        portal.start()
        until(portal.answers)
        proxy = Proxy("nginx", tmp_path, portal.port)
        stack.callback(proxy.end)
        run(load.partition(as_user)[2])
        visitor = Visitor(proxy)
        visitor.open("/passwort-vergessen").submit(email="erika@schule.example")
        until(lambda: sink.messages)
        link = re.search(rf"{PUBLIC_URL}(/link/[\w-]{{43}})", sink.messages[0].text)[1]
        visitor.open(link).submit(new=PASSWORD, repeat=PASSWORD)
        assert "Fertig" in visitor.page.text
        visitor.open("/anmelden").submit(email="erika@schule.example", password=PASSWORD)
        assert visitor.path == "/einstellungen" and visitor.page.status == 200
    seconds = time.monotonic() - began
    print(f"four commands, {seconds:.0f} s from the source to a customer who is logged in")
    assert seconds < 300
