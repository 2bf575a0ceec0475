"""Every rendered page, and every mail, as the W3C's checker reads it; needs Java, so `make check` runs it."""

import os
import subprocess

import pytest
from jinja2 import StrictUndefined

from kmzportal.mail.previews import previews
from tests.browser import Browser
from tests.states import House, every_state

pytestmark = pytest.mark.java

JAR = os.environ.get("KMZPORTAL_TEST_VNU", "vnu.jar")
HTMX = r"Attribute .hx-[a-z:]+. not allowed on element .*"  # htmx's own, which no other program reads


@pytest.mark.usefixtures("clock")
def test_no_page_and_no_mail_has_an_error(app, backend, tmp_path, monkeypatch):
    monkeypatch.setattr(app.jinja_env, "undefined", StrictUndefined)
    for name, browser in every_state(House(lambda: Browser(app), backend)):
        (tmp_path / f"{name.replace('/', ' ')}.html").write_text(browser.answer.text, "utf-8")
    with app.app_context():
        for name, letter in previews(app.config).items():
            (tmp_path / f"mail {name}.html").write_text(letter.html, "utf-8")
    command = ["java", "-jar", JAR, "--errors-only", "--filterpattern", HTMX, str(tmp_path)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.stderr.splitlines() == [] and checked.returncode == 0
