"""Takes screenshots of every page in every state and display, and writes one image per page to docs/screenshots.

It checks nothing; `make screenshots` runs it.
"""

import io
import os
from itertools import chain
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from tests.e2e.accessibility import NORMAL, TEXT_200_PERCENT
from tests.e2e.real_browser import ALL_FLOWS, RealBrowser
from tests.states import Scenario

pytestmark = [pytest.mark.browser, pytest.mark.pictures]

FOLDER = Path(os.environ.get("KMZPORTAL_SCREENSHOTS", "docs/screenshots"))
#: Name, width of the window, emulated media, and width on the sheet.
LOOKS = (
    ("1280", 1280, {}, 330),
    ("390", 390, {}, 165),
    ("320", 320, {}, 135),
    ("dunkel", 390, {"color_scheme": "dark"}, 165),
    ("erzwungene Farben", 390, {"forced_colors": "active"}, 165),
    ("200 %", 640, {}, 160),
    ("Druck", 794, {"media": "print"}, 205),
)
TALLEST_SHEET = 16_383  # of WebP
TALLEST, GAP, INK, PAPER = 1000, 12, "#171a2b", "#dfe1ea"  # whole forms, and the beginning of lists
FONT = ImageFont.load_default(12)
#: The footer is the same on all pages; one shows it.
PAGE = """() => { const last = location.pathname === "/impressum" ? "footer" : "main";
  const height = document.querySelector(last).getBoundingClientRect().bottom + scrollY;
  return { x: 0, y: 0, width: innerWidth, height }; }"""
WITHOUT_SCROLL_BAR = "html { scrollbar-width: none }"
#: The CSP allows a style sheet that a script constructs.
ADD_STYLE = (
    "(css) => { const sheet = new CSSStyleSheet(); sheet.replaceSync(css); document.adoptedStyleSheets.push(sheet); }"
)
REMOVE_STYLE = "document.adoptedStyleSheets.pop()"


def test_pictures_of_every_state(app, new_page, backend):
    FOLDER.mkdir(parents=True, exist_ok=True)
    sheets = {}
    scenario = Scenario(lambda: RealBrowser(app, new_page()), backend)
    for name, browser in chain.from_iterable(flow(scenario) for flow in ALL_FLOWS):
        row = name, [small(shot(browser.page, *look), look[-1]) for look in LOOKS]
        sheets.setdefault(name.partition("/")[0], []).append(row)
    for page, rows in sheets.items():
        sheet(rows).save(FOLDER / f"{page}.webp", quality=12, method=6)


def shot(page, name, width, media, _):
    page.evaluate("Promise.all([...document.images].map((it) => it.decode()))")
    page.emulate_media(**NORMAL | media)
    page.set_viewport_size({"width": width, "height": 800})
    page.evaluate(ADD_STYLE, WITHOUT_SCROLL_BAR + (TEXT_200_PERCENT if name == "200 %" else ""))
    picture = Image.open(io.BytesIO(page.screenshot(full_page=True, clip=page.evaluate(PAGE), caret="initial")))
    page.evaluate(REMOVE_STYLE)
    page.emulate_media(media="screen", **NORMAL)
    page.set_viewport_size({"width": 1280, "height": 800})
    return picture.convert("RGB")


def sheet(rows):
    """Place the states below each other, their displays side by side, each with its name above."""
    width = sum(look[3] + GAP for look in LOOKS) + GAP
    heights = [max(picture.height for picture in shots) + 4 * GAP for _, shots in rows]
    paper = Image.new("RGB", (width, sum(heights) + GAP), PAPER)
    pen, top = ImageDraw.Draw(paper), GAP
    for (name, shots), height in zip(rows, heights, strict=True):
        left = GAP
        for picture, look in zip(shots, LOOKS, strict=True):
            pen.text((left, top), f"{name}  {look[0]}" if look is LOOKS[0] else look[0], INK, FONT)
            paper.paste(picture, (left, top + 2 * GAP))
            left += look[3] + GAP
        top += height
    paper.thumbnail((width, TALLEST_SHEET))
    return paper


def small(picture, width):
    height = round(picture.height * width / picture.width)
    return picture.resize((width, height), Image.Resampling.LANCZOS).crop((0, 0, width, min(height, TALLEST)))
