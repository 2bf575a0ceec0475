"""What must be true of everything in the house: each route, each template, each answer, each deed."""

import ast
import re
from pathlib import Path

import pytest
from jinja2 import StrictUndefined, nodes
from sqlalchemy import select

from kmzportal.db import db
from kmzportal.domain.account_link import LinkKind
from kmzportal.domain.audit_event import ACTORS, DEEDS
from kmzportal.services import account_link, login
from tests import cast, page
from tests.browser import Browser

pytestmark = [pytest.mark.usefixtures("clock", "portal"), pytest.mark.parametrize("portal", ["sqlite"], indirect=True)]

PACKAGE = Path(__file__).parent.parent / "kmzportal"
TEMPLATES = PACKAGE / "templates"
#: Macros, and what several pages of one errand end with; neither is swapped by itself.
SHARED = {"_ui.html", "account_link/_cancel.html"}
ACCESS = {"anyone", "customer", "link_holder"}
WAY_IN = {"anyone": (200, 204, 303, 404, 405, 410, 422), "customer": (303,), "link_holder": (404,)}
NOT_READY = "/readyz"  # the tests make their tables without migrations


def rules(portal):
    """Every rule that Flask answers, with a path that fills its places."""
    for rule in portal.url_map.iter_rules():
        if rule.endpoint != "static" and rule.rule != NOT_READY:
            places = {name: "konto" if name == "purpose" else "1" for name in rule.arguments}
            with portal.test_request_context():
                yield rule, portal.url_for(rule.endpoint, _external=False, **places)


def everything(but=("last_seen",)):
    """Return all rows of all tables, but for what a GET may write."""
    with db.engine.connect() as connection:
        for table in db.metadata.sorted_tables:
            columns = [column for column in table.columns if column.name not in but]
            yield from sorted(str(tuple(row)) for row in connection.execute(select(*columns)))


def log_in(portal, person):
    browser = Browser(portal)
    browser.open("/anmelden").submit("Anmelden", {"E-Mail-Adresse": person.email, "Passwort": cast.password_of(person)})
    assert browser.path == "/einstellungen"
    return browser


def test_every_route_declares_who_may_come(app):
    declared = {rule.endpoint: getattr(app.view_functions[rule.endpoint], "access", None) for rule, _ in rules(app)}
    assert {endpoint for endpoint, access in declared.items() if access not in ACCESS} == set()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_stranger_gets_nowhere_but_where_anyone_may_come(app, erika, method):
    for rule, path in rules(app):
        if method in rule.methods:
            access = app.view_functions[rule.endpoint].access
            answer = app.test_client().open(path, method=method, base_url=cast_url(app))
            assert answer.status_code in WAY_IN[access], (method, path, answer.status)
            assert erika.email not in answer.text


def test_a_clerk_is_no_customer(app, deeds, rosa):
    token = deeds.do(login.start_session, rosa, "Firefox unter Linux")
    client = app.test_client()
    with client.session_transaction(base_url=cast_url(app)) as session:
        session["_user_id"] = token
    for rule, path in rules(app):
        if app.view_functions[rule.endpoint].access == "customer" and "GET" in rule.methods:
            assert client.get(path, base_url=cast_url(app)).status_code == 403, path


def test_no_customer_sees_anything_of_another(app, erika, max_):
    browser = log_in(app, max_)
    for rule, path in rules(app):
        if "GET" in rule.methods:
            answer = browser.client.get(path, base_url=cast_url(app))
            assert answer.status_code in (200, 303, 404), (path, answer.status)
            assert erika.email not in answer.text and "Erika" not in answer.text, path


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_looking_changes_nothing(app, deeds, erika, method):
    browser = log_in(app, erika)
    link = deeds.do(account_link.issue, LinkKind.DESK, erika)
    browser.open(f"/link/{deeds.keys.token(link)}")
    with app.app_context():
        before = list(everything())
        for rule, path in rules(app):
            if method in rule.methods:
                browser.client.open(path, method=method, base_url=cast_url(app))
        assert list(everything()) == before


def test_no_form_is_taken_without_its_token(app, deeds, erika):
    browser = log_in(app, erika)
    link = deeds.do(account_link.issue, LinkKind.DESK, erika)
    browser.open(f"/link/{deeds.keys.token(link)}")
    with app.app_context():
        before = list(everything())
        for rule, path in rules(app):
            if "POST" in rule.methods:
                data = {"human": "y", "code": "AAAA-AAAA", "new": cast.NEW_PASSWORD, "repeat": cast.NEW_PASSWORD}
                data |= {"email": erika.email, "last_name": "Anders", "current": cast.password_of(erika), "tiles": "1"}
                browser.client.post(path, data=data, base_url=cast_url(app))
        assert list(everything()) == before


def test_every_answer_carries_its_headers(app, erika):
    browser = log_in(app, erika)
    paths = [path for rule, path in rules(app) if "GET" in rule.methods]
    for path in [*paths, "/gibt-es-nicht", "/link/x"]:
        answer = browser.client.get(path, base_url=cast_url(app))
        headers = answer.headers
        assert "default-src 'none'" in headers["Content-Security-Policy"], path
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] in ("same-origin", "no-referrer")
        assert headers["Strict-Transport-Security"].startswith("max-age=31536000")
        assert "Access-Control-Allow-Origin" not in headers
        for cookie in headers.getlist("Set-Cookie"):
            assert cookie.startswith("__Host-kmzportal=")
            assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; ")), cookie


def test_every_page_is_whole(app, erika, deeds):
    browser = log_in(app, erika)
    browser.open("/einstellungen/konto").submit("Weiter", {"Aktuelles Passwort": cast.password_of(erika)})
    paths = [path for rule, path in rules(app) if "GET" in rule.methods and not path.endswith(".json")]
    for path in [*paths, "/gibt-es-nicht"]:
        browser.open(path)
        if browser.answer.mimetype == "text/html":
            look_at(browser.page, path)


def look_at(root, path):
    everything = list(root.iter())
    ids = [one.get("id") for one in everything if one.get("id")]
    assert sorted(ids) == sorted(set(ids)) or set(twice(ids)) == {"csrf_token"}, (path, twice(ids))
    assert root.get("lang") == "de"
    assert len(list(root.iter("h1"))) == 1, path
    assert page.words(page.only(root.iter("title"), "title")), path
    labelled = {label.get("for") for label in root.iter("label")}
    wrapped = {box for label in root.iter("label") for box in label.iter("input")}
    for field in (one for one in everything if one.tag in ("input", "select", "textarea")):
        if field.get("type") not in ("hidden", "submit") and "hidden" not in field.attrib:
            assert field.get("id") in labelled or field in wrapped, (path, field.attrib)
    for one in everything:
        assert one.tag != "style" and "style" not in one.attrib, (path, one.attrib)
        assert not any(name.startswith(("on", "hx-on")) for name in one.attrib), (path, one.attrib)
        assert one.tag != "script" or (one.get("src") and not (one.text or "").strip()), path
        if "hx-post" in one.attrib:
            assert one.get("hx-post") == one.get("action"), path


def twice(ids):
    return sorted({one for one in ids if ids.count(one) > 1})


def fragments():
    found = {path.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("_*.html")}
    return {name for name in found - SHARED if not name.startswith(("demo/", "mail/"))}


def test_every_fragment_is_part_of_exactly_one_page(app):
    included = {}
    for template in TEMPLATES.rglob("*.html"):
        tree = app.jinja_env.parse(template.read_text("utf-8"))
        for include in tree.find_all(nodes.Include):
            included.setdefault(include.template.value, []).append(template.name)
    assert {name: included.get(name, []) for name in fragments() if len(included.get(name, [])) != 1} == {}


def test_every_fragment_has_one_root_with_an_id():
    for name in fragments():
        source = re.sub(r"\{#.*?#\}|\{%-?\s*(from|set).*?%\}", "", (TEMPLATES / name).read_text("utf-8"), flags=re.S)
        root = re.match(r"\s*<(\w+)([^>]*)>", source)
        assert root and " id=" in root[2], name
        assert source.rstrip().endswith(f"</{root[1]}>"), name


def test_only_one_module_knows_htmx():
    knowing = [path.name for path in PACKAGE.rglob("*.py") if re.search(r"['\"]HX-", path.read_text("utf-8"))]
    assert knowing == ["pages.py"]


def test_nothing_is_marked_safe():
    for path in PACKAGE.rglob("*.html"):
        assert not re.search(r"\|\s*safe\b", path.read_text("utf-8")), path


def recorded():
    """Return every deed that some code records, or refuses with."""
    refusing = {"record", "AccountLocked", "AddressTaken", "ChangedMeanwhile", "LinkUnusable", "TooManyMails", "_event"}
    for path in PACKAGE.rglob("*.py"):
        for call in (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)):
            if getattr(call.func, "attr", getattr(call.func, "id", None)) in refusing:
                words = [node.value for argument in call.args for node in ast.walk(argument) if is_text(node)]
                yield from (word for word in words if re.fullmatch(r"[a-z]+(\.[a-z_]+)?", word) and "." in word)


def is_text(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_history_has_words_for_every_deed():
    written = set(recorded())
    assert {"password.changed", "link.redeemed", "address.objected", "mail.capped"} <= written
    assert written - set(DEEDS) == set()
    assert set(ACTORS) == {"customer", "clerk", "link", "visitor", "worker", "console"}


def test_every_name_in_every_template_is_given(app, erika, monkeypatch):
    monkeypatch.setattr(app.jinja_env, "undefined", StrictUndefined)
    browser = log_in(app, erika)
    browser.open("/einstellungen/konto").submit("Weiter", {"Aktuelles Passwort": cast.password_of(erika)})
    for path in [path for rule, path in rules(app) if "GET" in rule.methods]:
        assert browser.client.get(path, base_url=cast_url(app)).status_code < 500, path


def cast_url(app):
    return app.config["PUBLIC_URL"]
