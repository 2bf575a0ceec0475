"""The addresses that other programs look for: password managers, robots, home screens, and who found a hole."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.browser import Browser

pytestmark = pytest.mark.usefixtures("clock")


def test_a_password_manager_finds_where_to_change_the_password(app, erika):
    answer = app.test_client().get("/.well-known/change-password", base_url=app.config["PUBLIC_URL"])
    assert (answer.status_code, answer.location) == (303, "/einstellungen/konto")


def test_who_found_a_hole_finds_whom_to_tell(app):
    answer = Browser(app).open("/.well-known/security.txt").answer
    fields = dict(reversed(line.split(": ", 1)) for line in answer.text.splitlines())
    names = {name: value for value, name in fields.items()}
    assert answer.content_type == "text/plain; charset=utf-8"
    assert {"mailto:support@kmz-cw.de", "tel:+49-7051-965-220"} <= set(fields)
    assert names["Canonical"] == "https://konto.kmz.example/.well-known/security.txt"
    assert names["Preferred-Languages"] == "de, en"
    left = datetime.fromisoformat(names["Expires"]) - datetime.now(UTC)
    assert timedelta(days=90) < left < timedelta(days=365)


def test_robots_may_come_in_and_read_what_is_not_for_them(app):
    answer = Browser(app).open("/robots.txt").answer
    assert (answer.text, answer.mimetype) == ("User-agent: *\nDisallow:\n", "text/plain")
    assert Browser(app).open("/anmelden").answer.headers["X-Robots-Tag"] == "noindex, nofollow"


def test_the_browsers_frame_and_the_home_screen_know_the_portal(app):
    browser = Browser(app).open("/gibt-es-nicht")
    linked = {link.get("rel"): link.get("href") for link in browser.page.iter("link")}
    themes = {meta.get("media"): meta.get("content") for meta in browser.page.iter("meta") if meta.get("media")}
    assert len(themes) == 2 and all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in themes.values())
    manifest = json.loads(browser.open(linked["manifest"]).answer.text)
    assert browser.answer.mimetype == "application/manifest+json"
    assert (manifest["name"], manifest["lang"], manifest["start_url"]) == ("Kreismedienzentrum Calw", "de", "/")
    for path in (linked["apple-touch-icon"], linked["icon"], *(icon["src"] for icon in manifest["icons"])):
        assert browser.open(path).answer.mimetype.startswith("image/"), path
    assert browser.open("/favicon.ico").answer.mimetype.startswith("image/")
