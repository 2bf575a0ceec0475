"""Every route there is, and somebody to try it."""

from kmzportal.services import sessions
from tests.browser import Browser

NOT_READY = "/readyz"  # the tests make their tables without migrations
PLACES = {"purpose": "konto", "action": "sperren", "link_action": "erneut"}  #: where the URL takes a word, not an id


def rules(portal):
    """Every rule that Flask answers, with a path that fills its places."""
    for rule in portal.url_map.iter_rules():
        if rule.endpoint != "static" and rule.rule != NOT_READY:
            places = {name: PLACES.get(name, "1") for name in rule.arguments}
            with portal.test_request_context():
                yield rule, portal.url_for(rule.endpoint, _external=False, **places)


def cast_url(app):
    return app.config["PUBLIC_URL"]


def log_in(portal, person):
    browser = Browser(portal).log_in(person)
    assert browser.path == "/einstellungen"
    return browser


def at_the_desk(app, backend, clerk, htmx=False):
    return Browser(app, htmx).come_in(backend.run(sessions.start_session, clerk, "Firefox unter Linux").token)
