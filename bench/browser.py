"""A plain visitor, on a connection of its own for each request, who checks every page it gets."""

import re
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

HIDDEN = re.compile(r'<input(?=[^>]*type="hidden")[^>]*name="([^"]+)"[^>]*value="([^"]*)"')
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
Page = dict[str, Any]


class WrongPage(Exception):
    """The answer is not the page that was to be measured."""


class Browser:
    def __init__(self, port: int):
        self.port, self.cookies = port, ""

    def ask(self, method: str, path: str, fields: dict[str, str] | None = None) -> tuple[int, str, str, str]:
        """Return status, where it leads to, the text, and the cookies from then on."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=90)
        headers = {"Cookie": self.cookies, "Connection": "close"} | (FORM if fields else {})
        connection.request(method, path, urlencode(fields) if fields else None, headers)
        answer = connection.getresponse()
        text, given = answer.read().decode(), answer.headers.get_all("Set-Cookie") or []
        connection.close()
        pairs = [cookie.partition(";")[0] for cookie in (*self.cookies.split("; "), *given)]
        cookies = "; ".join({pair.partition("=")[0]: pair for pair in pairs if pair}.values())
        return answer.status, urlsplit(answer.getheader("Location", "")).path, text, cookies

    def open(self, page: Page, path: str = "") -> tuple[str, dict[str, str]]:
        """Follow a path to the page; return where it is, and what its form holds hidden."""
        status, there = 302, path or page["path"]
        while status in (302, 303):
            here = there
            status, there, text, self.cookies = self.ask("GET", here)
        if status != 200 or page["says"] not in text:
            raise WrongPage(f"{here}: {status}\n{text[:2000]}")
        return here, dict(HIDDEN.findall(text))

    def send(self, page: Page, opened: tuple[str, dict[str, str]], *typed: str) -> str:
        """Fill the form in and send it off; return the cookies then. The browser keeps its own, to send it again."""
        fields = opened[1] | dict(zip(page["fields"], typed, strict=True))
        status, there, text, cookies = self.ask("POST", opened[0], fields)
        right = status in (302, 303) if page["leads_to"].startswith("/") else status == 200
        if not right or page["leads_to"] not in (there or text):
            raise WrongPage(f"{opened[0]}: {status} {there}\n{text[:2000]}")
        return cookies
