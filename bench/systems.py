"""The four that are compared, and their visitors, who check every page they get."""

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.cookiejar import CookieJar
from itertools import count
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPCookieProcessor, HTTPErrorProcessor, build_opener

from bench.table import FACTS, HERE, figures
from kmzportal.server import gunicorn_conf
from tests.server.conftest import free_port

GUNICORN = ["python", "-m", "gunicorn", "--preload", "--no-control-socket", "--log-level=warning"]
GUNICORN += ["--workers=2", f"--threads={gunicorn_conf.threads}", "--worker-class=gthread"]
HIDDEN = re.compile(r'<input(?=[^>]*type="hidden")[^>]*name="([^"]+)"[^>]*value="([^"]*)"')
#: Each deed takes a fresh one, whom no cap knows. Many threads may ask at once, which a generator refuses.
customers = map("person{}@schule.example".format, count(1))


class Answers(HTTPErrorProcessor):
    """Follows where a page leads, but not away from the answer to a form."""

    def http_response(self, request, answer):
        return answer if request.data else super().http_response(request, answer)


class System:
    """One of the four. Its own processes, database and port; everything else is the same for all."""

    def __init__(self, name, app, home="", link="", fill=(), **pages):
        self.name, self.app, self.link, self.fill, self.pages, self.process = name, app, link, fill, pages, None
        self.bin = HERE / home / "bin" if home else Path(sys.executable).parent
        self.place = f"127.0.0.1:{free_port()}"

    def fill_in(self, database):
        """Make the tables by its own means, and enter the customers."""
        made = [self.bin / "python", "-m", self.app]
        hashed = subprocess.check_output(made, cwd=HERE.parent, text=True, timeout=120).strip()
        assert "$argon2id$v=19$m=65536,t=3,p=4$" in hashed, f"{self.name} does not hash at the same cost"
        for statement in self.fill:
            database.execute(statement, {"password_hash": hashed})

    def start(self):
        """Start it anew, and note the seconds until its login page is right for the first time."""
        self.stop()
        ours = ["kmzportal", "serve", "--port", self.place.partition(":")[2]]
        program, *options = ours if self is ALL[0] else [*GUNICORN, f"--bind={self.place}", f"{self.app}:app"]
        began = time.perf_counter()
        self.process = subprocess.Popen([self.bin / program, *options], cwd=HERE.parent, stdout=subprocess.DEVNULL)
        while True:
            assert self.process.poll() is None and time.perf_counter() - began < 30, f"{self.name} does not start"
            with suppress(URLError):
                self.open("login")
                return figures["start", self.name].append(time.perf_counter() - began)
            time.sleep(0.005)

    def stop(self):
        if self.process:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(60)
            self.process.kill()

    def processes(self):
        """Return all that serve pages; the portal's worker answers no request."""
        found = [Path(f"/proc/{self.process.pid}")]
        for path in found:
            found += [Path("/proc") / child for child in (path / "task" / path.name / "children").read_text().split()]
        return [path for path in found if (path / "comm").read_text() != "kmz-worker\n"]

    def cpu(self):
        """Return the milliseconds of processor that they have used, in user and system mode."""
        stats = [(path / "stat").read_text().rpartition(")")[2].split() for path in self.processes()]
        return sum(int(stat[11]) + int(stat[12]) for stat in stats) / os.sysconf("SC_CLK_TCK") * 1000

    def memory(self, field):
        """Return the MiB of the largest process."""
        statuses = [(path / "status").read_text() for path in self.processes()]
        return max(int(status.partition(f"{field}:")[2].split()[0]) for status in statuses) / 1024

    def open(self, name, path="", jar=None):
        """Open a page; return what sends its form for a customer, again if wanted, and returns the cookies then."""
        page, jar = self.pages[name], jar or CookieJar()
        visitor = build_opener(Answers, HTTPCookieProcessor(jar))
        with visitor.open(f"http://{self.place}{path or page['path']}", timeout=90) as answer:
            login_session, said = answer.url, answer.read().decode()
        assert page["says"] in said, f"{login_session}: {said[:2000]}"
        hidden = dict(HIDDEN.findall(said))

        def send(who=""):
            typed = {field: value.format(customer=who or next(customers)) for field, value in page["typed"].items()}
            with visitor.open(login_session, urlencode(hidden | typed).encode(), timeout=90) as answer:
                there = urlsplit(answer.headers.get("Location", "")).path
                said = f"{answer.status} {there}\n{answer.read().decode()}"
            assert page["then"] in said, f"{login_session}: {said[:2000]}"
            return jar

        return send

    def fetch(self, name, jar=()):
        """Let wrk fetch a page for a second; note milliseconds of processor a page, and pages a second."""
        if jar:
            self.open(name, jar=jar)  # and keep the cookies that come with it, as a browser does
        cookies = ["-H", "Cookie: " + "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar)] if jar else []
        page, cpu = self.pages[name], self.cpu()
        wrk = ["wrk", "-t1", "-c8", "-d1s", "-s", HERE / "check.lua", *cookies]
        said = subprocess.check_output([*wrk, f"http://{self.place}{page['path']}", "--", page["says"]], text=True)
        got, wrong, took = map(float, said.split()[-3:])
        assert got and not wrong, f"{self.name}: {wrong:g} of {got:g} are not the page {page['path']}"
        figures[f"{name} page", self.name].append((self.cpu() - cpu) / got)
        figures[f"{name} page/s", self.name].append(got / took)

    def at_once(self, tx, people, backend):
        """Let so many people do all deeds; note milliseconds of processor a deed, and deeds a second."""
        cpu, began = self.cpu(), time.perf_counter()
        with ThreadPoolExecutor(people) as pool:
            list(pool.map(lambda deed: deed(), backend))
        figures[tx, self.name].append((self.cpu() - cpu) / len(backend))
        figures[f"{tx}/s", self.name].append(len(backend) / (time.perf_counter() - began))


ALL = [System(**facts) for facts in FACTS["system"]]
