"""Variables of all templates, and filters for German dates."""

from flask import Flask

from kmzportal import dates
from kmzportal.web.auth import user_for_templates


def init_app(app: Flask) -> None:
    office = {
        name.removeprefix("OFFICE_").lower(): app.config[name] for name in app.config if name.startswith("OFFICE_")
    }
    app.jinja_env.filters.update(format_datetime=dates.format_datetime, format_time=dates.format_time)
    app.jinja_env.globals.update(office=office, demo=app.config.get("DEMO", False))
    app.context_processor(lambda: {"current_user": user_for_templates()})
