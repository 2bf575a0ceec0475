"""The systems that are compared, and a client that checks every page it gets."""

import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, HTTPErrorProcessor, build_opener

from lxml import html

from bench import EMAILS, PASSWORD
from bench.table import FACTS, HERE, figures
from tests.server.conftest import free_port

#: The portal's own numbers of processes and threads, see kmzportal/server/gunicorn_conf.py.
GUNICORN = ["-m", "gunicorn", "--preload", "--no-control-socket", "--log-level=warning"]
GUNICORN += ["--workers=2", "--threads=36", "--worker-class=gthread"]
emails = iter(EMAILS)  # each is used once, so that no limit of tries is reached


class ReturnEveryStatus(HTTPErrorProcessor):
    """Follows no redirect and raises no HTTPError."""

    def http_response(self, request, response):
        return response


class Form:
    """A page with a form, opened in a browser of its own."""

    def __init__(self, system, name):
        self.expected, self.cookies = system.pages[name], CookieJar()
        self.url = f"http://{system.address}{self.expected['path']}"
        self.browser = build_opener(ReturnEveryStatus, HTTPCookieProcessor(self.cookies))
        page = self._answer()
        assert self.expected["shows"] in page, f"{self.url}: {page[:2000]}"
        forms = html.fromstring(page.partition("\n")[2]).forms
        form = next(form for form in forms if self.expected["email_field"] in form.fields)
        self.values = dict(form.form_values()) | ({"password": PASSWORD} if "password" in form.fields else {})

    def _answer(self, data=None):
        """Return status and Location in a first line, then the page."""
        with self.browser.open(self.url, data, timeout=90) as response:
            return f"{response.status} {response.headers.get('Location', '')}\n{response.read().decode()}"

    def submit(self, email, may_be_busy=False):
        """Send the form for this address, check the answer, and return the cookies."""
        answer = self._answer(urlencode(self.values | {self.expected["email_field"]: email}).encode())
        assert self.expected["answer"] in answer or (may_be_busy and answer.startswith("503")), answer[:2000]
        return self.cookies


class System:
    """One of the systems: its processes, its database and its port."""

    def __init__(self, name, module, environment, **pages):
        self.name, self.module, self.pages = name, module, pages
        self.python = HERE.parent / environment / "bin" / "python"
        self.address = f"127.0.0.1:{free_port()}"

    def create_database(self):
        """Create tables and customers; fails if passwords are not hashed at the same cost in all systems."""
        command = [self.python, "-m", self.module]
        password_hash = subprocess.check_output(command, cwd=HERE.parent, text=True, timeout=120)
        assert "$argon2id$v=19$m=65536,t=3,p=4$" in password_hash, f"{self.name}: {password_hash}"

    @contextmanager
    def running(self):
        command = [self.python, *GUNICORN, f"--bind={self.address}", f"{self.module}:app"]
        if self is PORTAL:
            command = [Path(sys.executable).with_name("kmzportal"), "serve", "--port", self.address.partition(":")[2]]
        with subprocess.Popen(command, cwd=HERE.parent, stdout=subprocess.DEVNULL) as self.process:
            try:
                self._wait_for_login_page()
                yield
            finally:
                self.process.terminate()

    def _wait_for_login_page(self):
        deadline = time.monotonic() + 60
        while True:
            assert self.process.poll() is None and time.monotonic() < deadline, f"{self.name} does not start"
            with suppress(URLError):
                return Form(self, "login")
            time.sleep(0.1)

    def fetch(self, name, times, cookies=()):
        """GET a page so many times over one connection."""
        page, connection = self.pages[name], HTTPConnection(self.address, timeout=90)
        if cookies:  # a browser also keeps what the first of these pages sets
            build_opener(HTTPCookieProcessor(cookies)).open(f"http://{self.address}{page['path']}").close()
        headers = {"Cookie": "; ".join(f"{cookie.name}={cookie.value}" for cookie in cookies)}
        for _ in range(times):
            connection.request("GET", page["path"], headers=headers)
            body = connection.getresponse().read().decode()
            assert page["shows"] in body, f"{self.name}{page['path']}: {body[:2000]}"
        connection.close()

    @contextmanager
    def measure_cpu(self, figure, times):
        """Note the milliseconds of processor time that all processes take for each of so many repetitions."""
        before = self._cpu()
        yield
        figures[figure, self.name].append((self._cpu() - before) / times)

    def _cpu(self):
        stats = ((process / "stat").read_text().rpartition(")")[2].split() for process in self._processes())
        return sum(int(stat[11]) + int(stat[12]) for stat in stats) / os.sysconf("SC_CLK_TCK") * 1000

    def memory(self):
        """Return the MiB (PSS) of all processes; memory that several share counts once."""
        sizes = ((process / "smaps_rollup").read_text() for process in self._processes())
        return sum(int(re.search(r"^Pss:\s+(\d+)", size, re.M)[1]) for size in sizes) / 1024

    def _processes(self):
        found = [Path(f"/proc/{self.process.pid}")]
        for process in found:
            children = (process / "task" / process.name / "children").read_text().split()
            found += [Path("/proc") / child for child in children]
        return found


SYSTEMS = [System(**system) for system in FACTS["systems"]]
PORTAL = SYSTEMS[0]
