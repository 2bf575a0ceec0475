"""A simulated browser: opens pages, fills in forms by their labels and presses buttons by their text.

It sends requests with Flask's test client and reads the answers with lxml.html. With `htmx=True` forms and links with
`hx-*` attributes are sent as htmx sends them, and the fragment replaces its target in the page. Each instance has its
own cookies, so two people are two instances.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import lxml.html
from flask import Flask
from lxml.html import FormElement, HtmlElement
from werkzeug.datastructures import MultiDict
from werkzeug.test import TestResponse

from tests import people
from tests.passkey_device import Device

COOKIE = "__Host-kmzportal"
SOURCE = "192.0.2.1"  # for documentation (RFC 5737); no limit counts loopback
HTMX = {"HX-Request": "true"}
CHALLENGE = re.compile("challenge&#34;: &#34;[^&]*")  # of a button for passkeys, another one on each page
TOKEN_KEY = "_user_id"  # where Flask-Login stores the session token in the cookie
BLOCKS = {"p", "div", "li", "dt", "dd", "h1", "h2", "h3", "td", "th", "label", "legend", "option", "form", "br"}


class Browser:
    def __init__(self, app: Flask, htmx: bool = False):
        self.site = app.config["PUBLIC_URL"]
        self.client = app.test_client()
        self.client.environ_base["REMOTE_ADDR"] = SOURCE
        self.htmx = htmx
        self.answer: TestResponse  #: the last one, after all redirects
        self.path = "/"
        self.page = HtmlElement()
        self.typed: dict[HtmlElement, str] = {}  #: outside of the tree, since lxml takes no control characters

    @property
    def status(self) -> int:
        return self.answer.status_code

    @property
    def title(self) -> str:
        return words(only(self.page.iter("title"), "title"))

    @property
    def heading(self) -> str:
        return words(only(self.page.iter("h1"), "h1"))

    @property
    def text(self) -> str:
        """All text in the page's body."""
        return words(self.page.find("body"))

    @property
    def cookie(self) -> str:
        """The session cookie; set it to use a cookie copied from another browser."""
        return self.client.get_cookie(COOKIE, urlsplit(self.site).hostname).value

    @cookie.setter
    def cookie(self, value: str) -> None:
        self.client.set_cookie(COOKIE, value, domain=urlsplit(self.site).hostname, secure=True)

    @property
    def session(self) -> dict[str, Any]:
        """What the session cookie holds."""
        with self.client.session_transaction(base_url=self.site) as session:
            return dict(session)

    @property
    def csrf_token(self) -> str:
        return next(one.get("value") for one in self.page.iter("input") if one.get("name") == "csrf_token")

    def value(self, label: str) -> str:
        """Return the value of the field with this label."""
        control = field(self.page, label)
        text = self.typed.get(control, control.value) or ""
        return text.removeprefix("\n") if control.tag == "textarea" else text  # dropped by HTML, 13.2.6.4.7

    def read(self, tag: str) -> str:
        """Return the text of the first element with this tag."""
        return words(next(self.page.iter(tag)))

    def open(self, path: str) -> "Browser":
        """Open a page by its address, as from a mail or the address bar."""
        return self._show(self._send("GET", path))

    def follow(self, label: str) -> "Browser":
        """Click the link with this text."""
        link = only((one for one in self.page.iter("a") if words(one) == label), f"link {label!r}")
        if not (self.htmx and link.get("hx-get")):
            return self.open(link.get("href"))
        assert link.get("hx-get") == link.get("href"), f"{label!r}: hx-get is not href"
        return self._swap(link, self._send("GET", link.get("href"), htmx=True))

    def fill_in(self, label: str, text: str) -> "Browser":
        control = field(self.page, label)
        if control.tag == "select":
            return self.choose(label, text)
        assert not {"readonly", "disabled"} & set(control.keys()), f"the field {label!r} cannot be changed"
        assert control.get("type") not in ("checkbox", "radio", "hidden"), f"{label!r} is not a text field"
        self.typed[control] = text
        return self

    def choose(self, label: str, text: str) -> "Browser":
        """Choose the option with this text."""
        select = field(self.page, label)
        option = only((one for one in select.iter("option") if words(one) == text), f"option {text!r}")
        select.value = option.get("value", text)
        return self

    def check(self, label: str, ticked: bool = True) -> "Browser":
        """Tick a box or a radio button; a form that htmx sends on change is sent."""
        box = field(self.page, label)
        form = form_of(box)
        if box.type == "radio":
            form.inputs[box.name].value = box.get("value")
        else:
            box.checked = ticked
        return self._submit(form, []) if self.htmx and "change" in form.get("hx-trigger", "") else self

    def press(self, label: str, **fields: str) -> "Browser":
        """Press the button with this text, after filling in `fields`, given by label."""
        for name, text in fields.items():
            self.fill_in(name, text)
        pressed = button(self.page, label)
        entry = [(pressed.get("name"), pressed.get("value", ""))] if pressed.get("name") else []
        return self._submit(form_of(pressed), entry)

    def touch(self, label: str, device: Device, **changed: str) -> "Browser":
        """Press a button that asks for a passkey, which the device makes or answers with."""
        pressed = button(self.page, label)
        options = pressed.get("data-passkey")
        answer = device.create(options) if "user" in json.loads(options) else device.get(options, **changed)
        form = form_of(pressed)
        if "passkey" not in form.fields:  # it stands elsewhere on the page
            return self._submit(form, [("passkey", answer)])
        form.fields["passkey"] = answer
        return self._submit(form, [])

    def submit(self, label: str, fields: dict[str, str]) -> "Browser":
        """Fill in all `fields` by label and press the button."""
        return self.press(label, **fields)

    def log_in(self, person: Any, password: str | None = None, path: str = "/anmelden") -> "Browser":
        fields = {"E-Mail-Adresse": person.email, "Passwort": password or people.password_of(person)}
        return self.open(path).submit("Anmelden", fields)

    def come_in(self, token: str) -> "Browser":
        """Use the session with this token, without the login page."""
        with self.client.session_transaction(base_url=self.site) as session:
            session[TOKEN_KEY] = token
        return self

    def post(self, path: str, **fields: Any) -> TestResponse:
        """Send fields that no form of the page has, with its CSRF token, and follow no redirect."""
        return self.client.post(path, data={"csrf_token": self.csrf_token, **fields}, base_url=self.site)

    def stale(self) -> "Browser":
        """Give all forms of the page a CSRF token that is out of date."""
        for one in self.page.iter("input"):
            if one.name == "csrf_token":
                one.value = "veraltet"
        return self

    def _submit(self, form: FormElement, pressed: list[tuple[str, str]]) -> "Browser":
        action, htmx = form.get("action", self.path), form.get(f"hx-{form.method.lower()}")
        assert htmx in (None, action), f"hx-{form.method.lower()} {htmx} is not action {action}"
        typed = {control.name: text for control, text in self.typed.items() if form in control.iterancestors()}
        data = MultiDict([*((name, typed.get(name, value)) for name, value in form.form_values()), *pressed])
        if self.htmx and htmx:
            return self._swap(form, self._send(form.method, action, data, htmx=True))
        return self._show(self._send(form.method, action, data))

    def _send(self, method: str, target: str, data: Any = None, htmx: bool = False) -> TestResponse:
        """Send a request and follow redirects; werkzeug refuses those to other sites and endless ones."""
        url = urljoin(self.site + self.path, target)
        assert url.startswith(f"{self.site}/"), f"leads to another site: {url}"
        headers = {"Referer": self.site + self.path} | (HTMX if htmx else {})
        if method != "GET":
            headers |= {"Sec-Fetch-Site": "same-origin", "Origin": self.site}
        sent = {"query_string" if method == "GET" else "data": data} if data else {}
        answer = self.client.open(url, method=method, headers=headers, follow_redirects=True, buffered=True, **sent)
        for one in answer.history:
            assert one.status_code == 303 or one.request.method == "GET", f"{method} {url} is answered by {one.status}"
        return answer

    def _show(self, answer: TestResponse) -> "Browser":
        """Show the answer as the whole page."""
        assert "HX-Redirect" not in answer.headers, "a browser without htmx cannot follow HX-Redirect"
        self.answer, self.path = answer, answer.request.path
        self.page = lxml.html.document_fromstring(answer.text if answer.mimetype == "text/html" else "<body></body>")
        return self

    def _swap(self, sender: HtmlElement, answer: TestResponse) -> "Browser":
        """Replace the target of the form or link by the answer, as htmx does; 204 and 5xx change nothing."""
        self.answer = answer
        if "HX-Redirect" in answer.headers:
            return self.open(answer.headers["HX-Redirect"])
        if answer.status_code == 204 or answer.status_code >= 500:
            return self
        assert "<html" not in answer.text, "a whole page came back for a fragment"
        if "HX-Retarget" in answer.headers:
            by_id(self.page, answer.headers["HX-Retarget"].removeprefix("#")).text = answer.text
            return self
        if sender.get("hx-replace-url") == "true":
            self.path = answer.request.path
        target = by_id(self.page, sender.get("hx-target", f"#{sender.get('id')}").removeprefix("#"))
        fragment = parse(answer.text)
        assert fragment.get("id"), f"the fragment for #{target.get('id')} has no id, so nothing can replace it"
        fragment.tail = target.tail
        target.getparent().replace(target, fragment)
        return self


def parse(text: str) -> HtmlElement:
    """Return the root of a page, or of a fragment, which must be one element."""
    return lxml.html.document_fromstring(text) if "<html" in text else lxml.html.fragment_fromstring(text)


def words(element: HtmlElement) -> str:
    """Return the text of an element with single spaces; blocks separate words, inline elements do not."""
    return " ".join("".join(_texts(element)).split())


def _texts(element: HtmlElement) -> Iterator[str]:
    gap = " " if element.tag in BLOCKS else ""
    yield gap + (element.text or "")
    for child in element:
        yield from _texts(child)
        yield child.tail or ""
    yield gap


def only(found: Iterable[HtmlElement], what: str) -> HtmlElement:
    """Return the only element found; fail if there is none, or several."""
    found = list(found)
    assert len(found) == 1, f"{what} is {len(found)} times on the page, not once"
    return found[0]


def by_id(page: HtmlElement, id_: str) -> HtmlElement:
    return only((one for one in page.iter() if one.get("id") == id_), f"#{id_}")


def field(page: HtmlElement, label: str) -> Any:
    """Return the field with this label; the mark "Optional" beside it may be left out."""
    labels = (one for one in page.iter("label") if words(one) in (label, f"{label} Optional"))
    found = only(labels, f"label {label!r}")
    return by_id(page, found.get("for")) if found.get("for") else only(found.iter("input"), f"field in {label!r}")


def button(page: HtmlElement, label: str) -> HtmlElement:
    found = only(
        (one for one in page.iter("button") if label in (words(one), one.get("aria-label"))), f"button {label!r}"
    )
    assert "disabled" not in found.attrib, f"the button {label!r} cannot be pressed"
    return found


def form_of(control: HtmlElement) -> FormElement:
    named = control.get("form")
    form = by_id(control.getroottree().getroot(), named) if named else next(control.iterancestors("form"), None)
    assert form is not None, f"{control.tag} {control.attrib} belongs to no form"
    return form
