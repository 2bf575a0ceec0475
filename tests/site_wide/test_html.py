"""The W3C HTML checker finds no error in any page or mail. It needs Java, so only `make check` runs it."""

import os
import subprocess

import pytest

from kmzportal.mail.previews import previews
from tests.states import every_state

pytestmark = pytest.mark.java

JAR = os.environ.get("KMZPORTAL_TEST_VNU", "vnu.jar")
HTMX = r"Attribute .hx-[a-z:-]+. not allowed on element .*"  # the checker does not know htmx


@pytest.mark.usefixtures("clock")
def test_no_page_and_no_mail_has_an_error(app, scenario, tmp_path):
    for name, browser in every_state(scenario):
        (tmp_path / f"{name.replace('/', ' ')}.html").write_text(browser.answer.text, "utf-8")
    with app.app_context():
        for name, mail in previews(app.config).items():
            (tmp_path / f"mail {name}.html").write_text(mail.html, "utf-8")
    command = ["java", "-jar", JAR, "--errors-only", "--filterpattern", HTMX, str(tmp_path)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.stderr.splitlines() == [] and checked.returncode == 0
