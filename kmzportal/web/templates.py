"""How templates are read, and what all of them know."""

from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any

from flask import Flask
from flask.templating import Environment

from kmzportal import dates
from kmzportal.web.auth import current_user


class Templates(Environment):
    """Jinja, but what all templates know is one plain dictionary, and said before the first page is drawn.

    To look through a chain of them at each import and include took a tenth of a page (see docs/decisions/0040).
    """

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        return {**self.globals, **(d or {})}


def init_app(app: Flask) -> None:
    app.jinja_env.filters.update(format_datetime=dates.format_datetime, format_time=dates.format_time)
    app.jinja_env.globals |= {
        "office": _office(app),
        "current_user": current_user,
        "demo": app.config.get("DEMO", False),
    }
    # Most of these lead to the same few places, several times on each page (see docs/decisions/0040).
    app.jinja_env.globals["url_for"] = lru_cache(512)(app.url_for)


def _office(app: Flask) -> dict[str, Any]:
    """What every page says of the office."""
    return {name.removeprefix("OFFICE_").lower(): app.config[name] for name in app.config if name.startswith("OFFICE_")}
