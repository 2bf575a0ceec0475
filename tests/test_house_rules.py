"""What must be true of everything in the house: each route, each template, each answer, each deed."""

import ast
import logging
import re
from datetime import timedelta
from pathlib import Path

import pytest
from flask import template_rendered
from jinja2 import StrictUndefined, nodes
from sqlalchemy import select

from kmzportal.db import db
from kmzportal.domain.account_link import LinkKind
from kmzportal.domain.audit_event import ACTORS, DEEDS
from kmzportal.domain.clerk import Clerk
from kmzportal.domain.customer import Customer
from kmzportal.services import account_link, login, recovery
from tests import canary, cast, page
from tests.browser import Browser
from tests.states import WAYS, House, every_state

pytestmark = [pytest.mark.usefixtures("clock", "portal"), pytest.mark.parametrize("portal", ["sqlite"], indirect=True)]

PACKAGE = Path(__file__).parent.parent / "kmzportal"
TEMPLATES = PACKAGE / "templates"
#: Macros, and what several pages of one errand end with; neither is swapped by itself.
SHARED = {"_ui.html", "desk/_parts.html", "account_link/_cancel.html", "outbox/_mails.html"}
#: Where the pages of an opened link stand; only they end with what is in account_link/_cancel.html.
LINK_PAGES = {"account_link", "address", "robot_check", "first_link"}
ACCESS = {"anyone", "customer", "clerk", "admin", "link_holder"}
WAY_IN = {
    "anyone": (200, 204, 303, 404, 405, 410, 422),
    "customer": (303,),
    "clerk": (303,),
    "admin": (303,),
    "link_holder": (404,),
}
#: What may be larger than architecture.md, 7 allows, and why.
MEASURES = {".py": 150, "function": 25, ".html": 60, ".js": 80, "conftest.py": 90}
LARGER = {
    "domain/account_link.py": "the link with its two secrets is one thing",
    "services/login.py": "getting in, and being kept out, are one errand",
    "services/account_link.py: issue": "names all columns of a link once",
    "services/work.py: send": "names all columns of a mail once",
    "templates/_ui.html": "macros only",
    "tests/server/conftest.py": "starts and ends processes",
}
FIRST_OF = {Customer: LinkKind.DESK, Clerk: LinkKind.CLERK_FIRST}
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
    browser = Browser(portal).log_in(person)
    assert browser.path == "/einstellungen"
    return browser


def at_the_desk(app, deeds, clerk, htmx=False):
    return Browser(app, htmx).come_in(deeds.do(login.start_session, clerk, "Firefox unter Linux"))


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


def refused(portal, browser, *access):
    """Yield every way to come where only these may, with how it is answered."""
    for rule, path in rules(portal):
        if portal.view_functions[rule.endpoint].access in access:
            for method in rule.methods & {"GET", "POST"}:
                answer = browser.client.open(path, method=method, base_url=cast_url(portal))
                yield f"{method} {path}", answer.status_code


def test_a_clerk_is_no_customer(app, deeds, rosa):
    answers = dict(refused(app, at_the_desk(app, deeds, rosa), "customer"))
    assert set(answers.values()) == {403}, answers


def test_a_customer_is_nobody_at_the_desk(app, deeds, erika, rosa):
    answers = dict(refused(app, log_in(app, erika), "clerk", "admin"))
    assert len(answers) > 5 and set(answers.values()) <= {403, 404}, answers


def test_a_clerk_is_no_admin(app, deeds, rosa, tim):
    answers = dict(refused(app, at_the_desk(app, deeds, tim), "admin"))
    assert len(answers) > 5 and set(answers.values()) == {403}, answers


def test_an_admin_may_come_wherever_clerks_may(app, deeds, rosa):
    answers = dict(refused(app, at_the_desk(app, deeds, rosa), "clerk", "admin"))
    assert 403 not in answers.values(), answers


def test_no_customer_sees_anything_of_another(app, erika, max_):
    browser = log_in(app, max_)
    for rule, path in rules(app):
        if "GET" in rule.methods:
            answer = browser.client.get(path, base_url=cast_url(app))
            desk = path.startswith("/kundenservice")
            assert answer.status_code in ((403, 404) if desk else (200, 303, 404)), (path, answer.status)
            assert erika.email not in answer.text and "Erika" not in answer.text, path


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_looking_changes_nothing(app, deeds, erika, rosa, method):
    browser, clerk = log_in(app, erika), at_the_desk(app, deeds, rosa)
    for person, visiting in ((erika, browser), (rosa, clerk)):
        link = deeds.do(account_link.issue, FIRST_OF[type(person)], person)
        visiting.open(f"/link/{deeds.keys.token(link)}")
    with app.app_context():
        before = list(everything())
        for rule, path in rules(app):
            if method in rule.methods:
                browser.client.open(path, method=method, base_url=cast_url(app))
                clerk.client.open(path, method=method, base_url=cast_url(app))
        assert list(everything()) == before


def test_no_form_is_taken_without_its_token(app, deeds, erika, rosa, tim):
    browser, clerk = log_in(app, erika), at_the_desk(app, deeds, rosa)
    for person, visiting in ((erika, browser), (rosa, clerk)):
        link = deeds.do(account_link.issue, FIRST_OF[type(person)], person)
        visiting.open(f"/link/{deeds.keys.token(link)}")
    with app.app_context():
        before = list(everything())
        for rule, path in rules(app):
            if "POST" in rule.methods:
                data = {"human": "y", "code": "AAAA-AAAA", "new": cast.NEW_PASSWORD, "repeat": cast.NEW_PASSWORD}
                data |= {"email": erika.email, "last_name": "Anders", "current": cast.password_of(erika), "tiles": "1"}
                data |= {"name": "Kim Muster", "initials": "km", "password": cast.password_of(rosa)}
                browser.client.post(path, data=data, base_url=cast_url(app))
                clerk.client.post(path, data=data, base_url=cast_url(app))
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
    assert twice(ids) == [], path
    refused = [box for box in everything if "data-refused" in box.attrib]
    to_blame = [link.get("href").removeprefix("#") for box in refused for link in box.iter("a")]
    assert to_blame == sorted(to_blame, key=ids.index), path
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


def recorded_details():
    """Return the names of all details that some code records a deed with."""
    for path in PACKAGE.rglob("*.py"):
        for call in (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)):
            if getattr(call.func, "attr", None) == "record":
                yield from (keyword.arg for keyword in call.keywords if keyword.arg)


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


# Every page there is, in all states that lead to one of its own: see states.py


@pytest.fixture
def house(app, deeds, monkeypatch):
    monkeypatch.setattr(app.jinja_env, "undefined", StrictUndefined)
    return House(lambda: Browser(app), deeds)


@pytest.mark.parametrize("htmx", [False, True], ids=["browser", "htmx"])
def test_every_page_in_every_state_is_whole(app, house, htmx):
    house.sit_down = lambda: Browser(app, htmx)
    for name, browser in every_state(house):
        assert browser.status < 500, name
        look_at(browser.page, name)


def test_every_state_has_a_name_of_its_own(house):
    names = [name for name, _ in every_state(house)]
    assert len(names) > 40 and twice(names) == []


def test_every_fragment_is_sent_alone_and_is_one_element_with_an_id(app, house):
    """Whatever page somebody is on, asked for again by htmx it is its fragment."""
    rendered = set()

    def note(_, template, **__):
        rendered.add(template.name)

    with template_rendered.connected_to(note, app):
        for way in WAYS[:-1]:  # nothing is swapped on the pages of the office
            for _, browser in way(house):
                for method in ("GET", "POST"):
                    send_alone(browser, method)
        browser.path = "/sitzung"  # where every page of a session asks by itself
        send_alone(browser, "GET")
    assert fragments() - rendered == set()


def send_alone(browser, method):
    answer = browser.client.open(
        browser.path,
        method=method,
        base_url=browser.site,
        headers={"HX-Request": "true"},
        follow_redirects=method == "GET",
    )
    if answer.text and "HX-Retarget" not in answer.headers and answer.status_code in (200, 410, 422):
        assert page.parse(answer.text).get("id"), browser.path
        assert "<html" not in answer.text, browser.path


def test_a_template_with_a_leading_line_is_one_of_three_things(app):
    """Macros only, imported and never included; a fragment, in one page; or a shared end, in several of one errand."""
    included, imported = {}, set()
    for template in TEMPLATES.rglob("*.html"):
        tree = app.jinja_env.parse(template.read_text("utf-8"))
        for include in tree.find_all(nodes.Include):
            included.setdefault(include.template.value, set()).add(template.relative_to(TEMPLATES))
        imported |= {one.template.value for one in tree.find_all((nodes.FromImport, nodes.Import))}
    macros, ends = {name for name in SHARED if name in imported}, {name for name in SHARED if name not in imported}
    for name in macros:
        outside = [one for one in app.jinja_env.parse((TEMPLATES / name).read_text("utf-8")).body if is_shown(one)]
        assert name not in included and outside == [], name
    for name in ends:
        assert len(included[name]) > 1, name
        assert {path.parts[0] for path in included[name]} <= LINK_PAGES, name


def is_shown(node):
    """Whether a node outside of all macros prints anything."""
    if isinstance(node, nodes.Output):
        return any(not isinstance(part, nodes.TemplateData) or part.data.strip() for part in node.nodes)
    return not isinstance(node, (nodes.Macro, nodes.FromImport))


def secrets_of(deeds, house):
    """Walk through all states and return what the cookies held on the way; the worker answers what was asked for."""
    seen = set()
    for _, browser in every_state(house):
        with browser.client.session_transaction(base_url=browser.site) as session:
            seen |= {session.get(name) for name in ("_user_id", "awaits_code", "csrf_token")}
    with deeds.work("worker") as work:
        waiting = recovery.unanswered(work.session)
    for request in waiting:
        deeds.do(recovery.answer, request, actor="worker")
    return seen - {None}


def test_no_secret_stands_in_the_log_after_all_journeys(app, deeds, house, caplog):
    """The database is looked through after every test; here the log is, at its most talkative."""
    caplog.set_level(logging.DEBUG)
    seen = secrets_of(deeds, house)
    with app.app_context():
        seen |= {*canary.SECRETS, *canary.tokens_and_codes()}
    assert len(seen) > 20
    assert [secret for secret in seen if canary.sings(secret, caplog.text)] == []


def test_no_session_and_no_form_token_stands_in_the_database(app, deeds, house):
    canary.check(app, *secrets_of(deeds, house))


def test_looking_notes_that_one_is_there_and_no_more(app, erika, clock):
    browser = log_in(app, erika)
    clock.shift(timedelta(minutes=2))
    with app.app_context():
        before = list(everything())
        browser.open("/einstellungen")
        assert list(everything()) == before
        assert list(everything(but=())) != before


# How large things are


def sizes():
    """Yield every measured thing with its size and the most it should have."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if "migrations" not in path.parts:
            yield from sizes_in(path)
    script = PACKAGE / "static" / "js" / "kmz.js"
    tests = PACKAGE.parent / "tests"
    for path in [*sorted(TEMPLATES.rglob("*.html")), script, *sorted(tests.rglob("conftest.py"))]:
        most = MEASURES.get(path.name) or MEASURES[path.suffix]
        yield named(path), len(path.read_text("utf-8").splitlines()), most


def sizes_in(path):
    text = path.read_text("utf-8")
    yield named(path), len(text.splitlines()), MEASURES[".py"]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            yield f"{named(path)}: {node.name}", node.end_lineno - node.lineno + 1, MEASURES["function"]


def named(path):
    return path.relative_to(PACKAGE if path.is_relative_to(PACKAGE) else PACKAGE.parent).as_posix()


def test_nothing_grows_without_a_reason():
    """Prints the table of what is largest (pytest -s); complexity is held by ruff."""
    table = sorted(sizes(), key=lambda row: row[1] / row[2], reverse=True)
    for name, lines, most in table[:30]:
        print(f"{lines:4} of {most:3}  {name:45} {LARGER.get(name, '')}")
    too_large = {name for name, lines, most in table if lines > most}
    assert too_large - set(LARGER) == set()
    assert set(LARGER) - too_large == set(), "no longer large, take it off the list"
