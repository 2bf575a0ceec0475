"""The HTML part of every mail as mail programs show it: on a telephone, wide, dark, and where styles are dropped."""

import re

import pytest

from kmzportal import create_app
from kmzportal.db import db
from kmzportal.mail.compose import compose
from kmzportal.mail.previews import ASKED, KEYS, MAILS, sample
from kmzportal.server import sample_people
from tests.backend import Backend
from tests.browser import Browser
from tests.e2e.accessibility import BY_COLOUR, TAGS, axe, run
from tests.mail.test_compose import OFFICE

pytestmark = pytest.mark.browser
LONG_HOST = OFFICE | {"PUBLIC_URL": "https://kundenkonto-der-medienzentren.kreismedienzentrum-musterstadt.example"}


@pytest.fixture
def mail_page(browser_process):
    context = browser_process.new_context()
    page = context.new_page()
    page.on("request", lambda request: pytest.fail(f"a mail loads {request.url}"))
    yield page
    context.close()


def show(page, template, width, change=lambda html: html):
    """Show a mail in a window of this width; return its text."""
    mail = compose(sample(template), KEYS, LONG_HOST, ASKED)
    page.set_viewport_size({"width": width, "height": 800})
    page.set_content(change(mail.html))
    return mail.body


def test_every_mail_fits_a_telephone_and_is_no_wider_than_it_can_be_read(mail_page):
    for template in MAILS:
        for width in (320, 600, 1280):
            show(mail_page, template, width)
            assert run(mail_page, "layout", "", ["tooWide", "cutOff"]) == [], (template, width)
        assert mail_page.locator(".mail").bounding_box()["width"] <= (36 + 2) * 16


@pytest.mark.parametrize("template", ["desk_link", "address_corrected", "case_code", "test"])
def test_a_mail_is_accessible_in_light_and_dark(mail_page, template):
    show(mail_page, template, 320)
    assert axe(mail_page, [tag for tag in TAGS if tag.startswith("wcag")]) == []
    mail_page.emulate_media(color_scheme="dark")
    assert axe(mail_page, BY_COLOUR) == []


def test_the_button_is_large_enough_for_a_finger_and_the_code_for_the_eye(mail_page):
    show(mail_page, "desk_link", 320)
    assert mail_page.get_by_role("link", name="Link zum Konto").bounding_box()["height"] >= 44
    code, text = (mail_page.locator(one).first.evaluate("it => parseFloat(getComputedStyle(it).fontSize)")
                  for one in (".code", "p"))  # fmt: skip
    assert code >= 1.5 * text and mail_page.locator(".code").bounding_box()["width"] <= 288


def test_in_the_dark_a_mail_is_dark(mail_page):
    def lightness():
        colours = mail_page.locator(".mail").evaluate("it => getComputedStyle(it).backgroundColor")
        return max(map(int, re.findall(r"\d+", colours)))

    show(mail_page, "desk_link", 600)
    assert lightness() == 255
    mail_page.emulate_media(color_scheme="dark")
    assert lightness() < 64


def test_without_styles_every_mail_says_the_same_in_the_same_order_as_its_text(mail_page):
    for template in MAILS:
        text = show(mail_page, template, 600, lambda html: re.sub("(?s)<style>.*</style>", "", html))
        shown, place = " ".join(mail_page.inner_text("body").split()), 0
        for line in text.splitlines():
            place = shown.find(" ".join(line.removesuffix(":").split()), place)
            assert place >= 0, (template, line)


def test_the_demo_shows_a_mail_with_its_styles_under_its_own_policy(browser_process, tmp_path):
    demo = create_app({"PUBLIC_URL": "https://konto.kmz.example", "DEMO": True}, tmp_path)
    with demo.app_context():
        db.create_all()
    Backend(demo).run(sample_people.enter)
    answer = Browser(demo).open("/demo/postfach/1/html").answer
    with demo.app_context():
        db.engine.dispose()
    context, faults = browser_process.new_context(), []
    context.on("console", lambda message: faults.append(message.text))
    context.route("**/*", lambda route: route.fulfill(body=answer.data, headers=dict(answer.headers)))
    page = context.new_page()
    page.goto("https://konto.kmz.example/demo/postfach/1/html")
    assert page.locator(".mail").evaluate("it => getComputedStyle(it).maxWidth") == f"{36 * 16}px"
    assert faults == [] and "unsafe" not in answer.headers["Content-Security-Policy"]
    context.close()
