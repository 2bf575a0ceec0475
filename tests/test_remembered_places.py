"""Templates ask for addresses through a memory, see web/pages.py; so the same words must lead to the same place."""

import re
from pathlib import Path

import pytest
from jinja2 import Environment, nodes

TEMPLATES = Path(__file__).parent.parent / "kmzportal" / "templates"
WHOLE_ADDRESS = {"_external", "_scheme"}


def depending_on_the_request(source):
    """Yield what leads elsewhere for another Host, or from another page because its name begins with a dot."""
    template = Environment(autoescape=True).parse(source)
    for call in template.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name == "url_for":
            yield from (argument.key for argument in call.kwargs if argument.key in WHOLE_ADDRESS)
    words = (one.value for one in template.find_all(nodes.Const) if isinstance(one.value, str))
    yield from (word for word in words if re.fullmatch(r"\.[a-z_]+", word))


@pytest.mark.parametrize("asked", ["url_for('.show')", "url_for('legal.hilfe', _external=true)"])
def test_what_depends_on_the_request_is_noticed(asked):
    assert list(depending_on_the_request(f"{{{{ {asked} }}}}"))


def test_no_template_asks_for_a_place_that_depends_on_the_request():
    found = {path.name: list(depending_on_the_request(path.read_text("utf-8"))) for path in TEMPLATES.rglob("*.html")}
    assert {name: words for name, words in found.items() if words} == {}
