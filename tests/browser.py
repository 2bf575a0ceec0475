"""Somebody at a browser: opens pages, fills in forms by their labels, presses buttons by their words.

With `htmx=True` forms and links are sent as htmx sends them, and the answer is swapped into the page as htmx swaps
it. One instance is one browser with its own cookies: two people are two of them.
"""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urljoin, urlsplit
from xml.etree.ElementTree import Element

from flask import Flask
from werkzeug.test import TestResponse

from tests import page, people
from tests.page import words

FOLLOWED_AT_MOST = 5
TOKEN_KEY = "_user_id"  # where Flask-Login stores the session token in the cookie
NOT_SWAPPED = {204, 304, *range(500, 600)}


class Browser:
    def __init__(self, app: Flask, htmx: bool = False):
        self.site = app.config["PUBLIC_URL"]
        self.client = app.test_client()
        self.htmx = htmx
        self.answer: TestResponse  #: the last one, after all redirects
        self.path = "/"
        self.page = Element("html")

    # What it sees

    @property
    def status(self) -> int:
        return self.answer.status_code

    @property
    def title(self) -> str:
        return words(page.only(self.page.iter("title"), "title"))

    @property
    def heading(self) -> str:
        return words(page.only(self.page.iter("h1"), "h1"))

    @property
    def text(self) -> str:
        """All that can be read on the page."""
        return words(self.page.find("body") if self.page.find("body") is not None else self.page)

    def value(self, label: str) -> str:
        """Return what stands in the field with this label."""
        return page.value(page.field(self.page, label)) or ""

    def read(self, tag: str) -> str:
        """Read the first element with this tag."""
        return words(next(self.page.iter(tag)))

    # What it does

    def open(self, path: str) -> "Browser":
        """Open a page by its address, as from a mail or the address bar."""
        self._take_whole(self._send("GET", path))
        return self

    def follow(self, label: str) -> "Browser":
        """Click the link with these words."""
        link = page.only((one for one in self.page.iter("a") if words(one) == label), f"link {label!r}")
        if self.htmx and link.get("hx-get"):
            assert link.get("hx-get") == link.get("href"), f"{label!r}: hx-get is not href"
            self._take_fragment(link, self._send("GET", link.get("href", ""), htmx=True))
            return self
        return self.open(link.get("href", ""))

    def fill_in(self, label: str, text: str) -> "Browser":
        page.fill_in(page.field(self.page, label), text)
        return self

    def choose(self, label: str, option: str) -> "Browser":
        page.choose(page.field(self.page, label), option)
        return self

    def check(self, label: str, ticked: bool = True) -> "Browser":
        """Tick a box or a radio button; a form that htmx sends on change is sent."""
        box = page.field(self.page, label)
        page.tick(self.page, box, ticked)
        form = page.form_of(self.page, box)
        if self.htmx and form is not None and "change" in form.get("hx-trigger", ""):
            self._submit(form, [])
        return self

    def press(self, label: str, **fields: str) -> "Browser":
        """Press the button with these words, after filling in `fields`, given by label."""
        for field, text in fields.items():
            self.fill_in(field, text)
        button = page.button(self.page, label)
        form = page.form_of(self.page, button)
        assert form is not None, f"the button {label!r} belongs to no form"
        name = button.get("name")
        self._submit(form, [(name, button.get("value", ""))] if name else [], button)
        return self

    def submit(self, label: str, fields: dict[str, str]) -> "Browser":
        """Fill in all `fields` by label and press the button: the common case in one line."""
        return self.press(label, **fields)

    def log_in(self, person: Any, password: str | None = None, path: str = "/anmelden") -> "Browser":
        fields = {"E-Mail-Adresse": person.email, "Passwort": password or people.password_of(person)}
        return self.open(path).submit("Anmelden", fields)

    def come_in(self, token: str) -> "Browser":
        """Be whoever the session with this token belongs to."""
        with self.client.session_transaction(base_url=self.site) as session:
            session[TOKEN_KEY] = token
        return self

    def stale(self) -> "Browser":
        """Leave the page open so long that its forms are out of date."""
        for one in self.page.iter("input"):
            if one.get("name") == "csrf_token":
                one.set("value", "veraltet")
        return self

    # How it does it

    def _submit(self, form: Element, pressed: list[tuple[str, str]], button: Element | None = None) -> None:
        action = (button.get("formaction") if button is not None else None) or form.get("action") or self.path
        method = form.get("method", "get").upper()
        data = [*page.entries(self.page, form), *pressed]
        through = form.get(f"hx-{method.lower()}")
        assert through in (None, form.get("action")), f"hx-{method.lower()} {through} is not action {action}"
        if self.htmx and through:
            self._take_fragment(form, self._send(method, action, data, htmx=True))
        else:
            self._take_whole(self._send(method, action, data))

    def _send(
        self, method: str, target: str, data: Iterable[tuple[str, Any]] = (), htmx: bool = False, left: int = 0
    ) -> TestResponse:
        """Send a request and follow 303s; htmx sends its headers again at every one."""
        assert left <= FOLLOWED_AT_MOST, f"redirected in a circle: {target}"
        url = urljoin(self.site + self.path, target)
        assert url.startswith(self.site), f"leads away from here: {url}"
        fields: dict[str, list[str]] = {}
        for name, text in data:
            fields.setdefault(name, []).append(text)
        sent = {"query_string": fields} if method == "GET" and fields else {"data": fields or None}
        parts = urlsplit(url)
        if parts.query and method == "GET" and not fields:
            sent = {"query_string": parts.query}
        local = parts.path if "query_string" in sent else url.removeprefix(self.site)
        answer = self.client.open(local, method=method, base_url=self.site, headers=self._headers(method, htmx), **sent)
        if answer.status_code in (301, 302, 303, 307, 308):
            assert answer.status_code == 303 or method == "GET", f"{method} {target} is answered by a {answer.status}"
            return self._send("GET", answer.location or "", htmx=htmx, left=left + 1)
        answer.arrived_at = local  # type: ignore[attr-defined]
        return answer

    def _headers(self, method: str, htmx: bool) -> dict[str, str]:
        headers = {"Referer": self.site + self.path}
        if method != "GET":
            headers |= {"Sec-Fetch-Site": "same-origin", "Origin": self.site}
        if htmx:
            headers |= {"HX-Request": "true", "HX-Current-URL": self.site + self.path}
        return headers

    def _take_whole(self, answer: TestResponse) -> None:
        self.answer, self.path = answer, answer.arrived_at  # type: ignore[attr-defined]
        assert "HX-Redirect" not in answer.headers, "a browser without htmx cannot follow HX-Redirect"
        self.page = page.parse(answer.text) if answer.mimetype == "text/html" else Element("html")

    def _take_fragment(self, sender: Element, answer: TestResponse) -> None:
        self.answer = answer
        if "HX-Redirect" in answer.headers:
            self.open(answer.headers["HX-Redirect"])
            return
        if answer.status_code in NOT_SWAPPED:
            return
        assert "<html" not in answer.text, "a whole page came back for a fragment"
        target = page.target(self.page, sender, answer.headers.get("HX-Retarget"))
        page.swap(self.page, target, answer.text, answer.headers.get("HX-Reswap") or sender.get("hx-swap", "innerHTML"))
