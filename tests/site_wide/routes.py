"""All routes of the application, each with a path that can be requested."""

from collections.abc import Iterator
from dataclasses import dataclass

from flask import Flask

NOT_READY = "/readyz"  # 503 here: the tests create their tables without migrations
#: Parameters that are no number.
WORDS = {
    "purpose": "konto",
    "action": "sperren",
    "link_action": "erneut",
    "case_act": "notiz",
    "branch": "anderes",
    "decision": "ablehnen",
}


@dataclass
class Route:
    endpoint: str
    path: str
    methods: set[str]
    arguments: set[str]
    access: str | None  #: who may use it, as the view declares; None where it does not


def routes(app: Flask, method: str | None = None, **given: object) -> Iterator[Route]:
    """Yield the routes that accept `method`, or all; `given`: values of their parameters."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint != "static" and rule.rule != NOT_READY and (not method or method in rule.methods):
            values = {name: given.get(name) or WORDS.get(name, "1") for name in rule.arguments}
            with app.test_request_context():
                path = app.url_for(rule.endpoint, _external=False, **values)
            view = app.view_functions[rule.endpoint]
            yield Route(rule.endpoint, path, rule.methods, rule.arguments, getattr(view, "access", None))
