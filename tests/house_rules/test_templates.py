"""A template with a leading line is macros, one page's fragment, or a shared end; nothing is marked safe."""

import re
from pathlib import Path

import pytest
from flask import template_rendered
from jinja2 import nodes

import kmzportal
from tests.browser import parse
from tests.states import WAYS

pytestmark = pytest.mark.usefixtures("clock")
PACKAGE = Path(kmzportal.__file__).parent
TEMPLATES = PACKAGE / "templates"
#: Macros, and what several pages of one errand end with; neither is swapped by itself.
SHARED = {"_ui.html", "desk/_parts.html", "account_link/_cancel.html", "outbox/_mails.html"}
#: Where the pages of an opened link stand; only they end with what is in account_link/_cancel.html.
LINK_PAGES = {"account_link", "address", "robot_check", "first_link"}


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


def test_nothing_is_marked_safe():
    for path in PACKAGE.rglob("*.html"):
        assert not re.search(r"\|\s*safe\b", path.read_text("utf-8")), path


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
        assert parse(answer.text).get("id"), browser.path
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
