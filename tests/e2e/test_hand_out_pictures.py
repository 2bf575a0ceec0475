"""Takes the small pictures of the hand-out from the real pages of a neutral office; `make screenshots` runs it."""

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from kmzportal.mail.compose import compose
from kmzportal.mail.previews import ASKED, KEYS, sample
from kmzportal.models import LinkKind
from kmzportal.web.static_files import FOLDER
from tests import people
from tests.e2e.real_browser import RealBrowser
from tests.e2e.served_portal import ServedPortal
from tests.people import NEW
from tests.states import Scenario

pytestmark = [pytest.mark.browser, pytest.mark.pictures]
PICTURES = Path(os.environ.get("KMZPORTAL_SCREENSHOTS", FOLDER)) / "handreichung"
OFFICE = {
    "OFFICE_NAME": "Medienzentrum Musterstadt",
    "OFFICE_STREET": "Musterstraße 1",
    "OFFICE_TOWN": "70000 Musterstadt",
    "OFFICE_PHONE": "0711 123 456",
    "OFFICE_FAX": "0711 123 457",
    "OFFICE_EMAIL": "verleih@medienzentrum.example",
    "OFFICE_SUPPORT_EMAIL": "support@medienzentrum.example",
    "OFFICE_SITE": "https://medienzentrum.example",
}
WIDTH, HEIGHT, MARGIN, SCALE = 360, 400, 12, 1.5


@pytest.fixture(scope="module")
def portal(tmp_path_factory, mail_settings):
    with ServedPortal(tmp_path_factory.mktemp("neutral"), **OFFICE, **mail_settings) as portal:
        yield portal


def take(page, name, first="main", height=HEIGHT):
    """Save what is shown from the element `first` on."""
    page.evaluate("Promise.all([document.fonts.ready, ...[...document.images].map((it) => it.decode())])")
    page.evaluate("document.activeElement.blur()")
    box = page.locator(first).first.bounding_box()
    top, bottom = max(0, box["y"] + page.evaluate("scrollY") - MARGIN), page.locator("main, .mail").first.bounding_box()
    end = bottom["y"] + page.evaluate("scrollY") + bottom["height"]
    clip = {"x": 0, "y": top, "width": WIDTH, "height": min(height, end - top)}
    picture = Image.open(io.BytesIO(page.screenshot(full_page=True, clip=clip)))
    picture.convert("RGB").save(PICTURES / f"{name}.webp", quality=30, method=6)


def test_pictures_for_the_hand_out(app, new_page, backend):
    PICTURES.mkdir(parents=True, exist_ok=True)
    size = {"width": WIDTH, "height": 800}
    scenario = Scenario(lambda: RealBrowser(app, new_page(viewport=size, device_scale_factor=SCALE)), backend)
    link = scenario.issue(LinkKind.DESK, scenario.max)
    letter = scenario.new_browser()
    letter.page.set_content(compose(sample("desk_link"), KEYS, app.config, ASKED).html)
    take(letter.page, "mail", ".mail", 430)
    browser = scenario.open_link(link)
    take(browser.page, "roboter", ".kmz-ways", 205)
    browser.check("Ich bin kein Roboter")
    take(browser.page, "raetsel", "fieldset", 450)
    browser.follow("Code aus der E-Mail eingeben")
    take(browser.page, "bestaetigen", "button:has-text('Bestätigen')", 72)
    browser.submit("Bestätigen", {"Code aus der E-Mail": scenario.backend.keys.code(link)})
    take(browser.page, "bestaetigt", "h1", 280)
    browser.follow("Konto bearbeiten")
    for label, text in NEW.items():
        browser.fill_in(label, text)
    take(browser.page, "konto", "h2:has-text('Passwort')", 460)
    take(browser.page, "registrieren", "button:has-text('Registrieren')", 72)
    browser.press("Registrieren")
    take(browser.page, "fertig", "h1", 355)
    browser = scenario.log_in(scenario.erika)
    take(browser.page, "einstellungen", height=330)
    browser.follow("Konto anpassen").submit("Weiter", {"Aktuelles Passwort": people.password_of(scenario.erika)})
    take(browser.page, "anpassen", "h2", 400)
    take(scenario.new_browser().open("/anmelden").page, "anmelden", height=440)
    browser = scenario.open_link(scenario.issue(LinkKind.RECOVERY, scenario.erika))
    take(browser.page, "neues-passwort", height=440)
