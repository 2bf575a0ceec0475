"""Takes a picture of every page in every state, as people set their screens, and lays them into one sheet a page.

Not a test: `make screenshots` runs it and writes docs/screenshots, for the eye.
"""

import io
import os
from itertools import chain
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from tests.e2e.breakdowns import ALL_WAYS
from tests.e2e.real_browser import RealBrowser
from tests.e2e.suits import AS_USUAL, STYLED, TWICE_AS_LARGE, UNSTYLED
from tests.states import House

pytestmark = [pytest.mark.browser, pytest.mark.pictures]

FOLDER = Path(os.environ.get("KMZPORTAL_SCREENSHOTS", "docs/screenshots"))
#: What the sheet calls it, the width of the window, how it is set, and the width on the sheet.
LOOKS = (
    ("1280", 1280, {}, 330),
    ("390", 390, {}, 165),
    ("320", 320, {}, 135),
    ("dunkel", 390, {"color_scheme": "dark"}, 165),
    ("erzwungene Farben", 390, {"forced_colors": "active"}, 165),
    ("200 %", 640, {}, 160),
    ("Druck", 794, {"media": "print"}, 205),
)
TALLEST, GAP, INK, PAPER = 1000, 12, "#171a2b", "#dfe1ea"  # whole forms, down to their buttons; of lists the beginning
FONT = ImageFont.load_default(12)
#: All pages end with the same words; one shows them.
PAGE = """() => { const last = location.pathname === "/impressum" ? "footer" : "main";
  const height = document.querySelector(last).getBoundingClientRect().bottom + scrollY;
  return { x: 0, y: 0, width: innerWidth, height }; }"""
WITHOUT_SCROLL_BAR = "html { scrollbar-width: none }"


def test_pictures_of_every_state(app, computer, backend):
    FOLDER.mkdir(parents=True, exist_ok=True)
    sheets = {}
    house = House(lambda: RealBrowser(app, computer()), backend)
    for name, browser in chain.from_iterable(way(house) for way in ALL_WAYS):
        row = name, [small(shot(browser.page, *look), look[-1]) for look in LOOKS]
        sheets.setdefault(name.partition("/")[0], []).append(row)
    for page, rows in sheets.items():
        sheet(rows).save(FOLDER / f"{page}.webp", quality=12, method=6)


def shot(page, name, width, media, _):
    page.evaluate("Promise.all([...document.images].map((it) => it.decode()))")
    page.emulate_media(**AS_USUAL | media)
    page.set_viewport_size({"width": width, "height": 800})
    page.evaluate(STYLED, WITHOUT_SCROLL_BAR + (TWICE_AS_LARGE if name == "200 %" else ""))
    picture = Image.open(io.BytesIO(page.screenshot(full_page=True, clip=page.evaluate(PAGE), caret="initial")))
    page.evaluate(UNSTYLED)
    page.emulate_media(media="screen", **AS_USUAL)
    page.set_viewport_size({"width": 1280, "height": 800})
    return picture.convert("RGB")


def sheet(rows):
    """Lay the states below each other, their looks side by side, each with its name above."""
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
    return paper


def small(picture, width):
    height = round(picture.height * width / picture.width)
    return picture.resize((width, height), Image.Resampling.LANCZOS).crop((0, 0, width, min(height, TALLEST)))
