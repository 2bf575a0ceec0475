"""Checks of a page as it is shown: axe, contrast in light and dark, reflow, target size, text spacing (WCAG 2.2)."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

FOLDER = Path(__file__).parent
AXE = (FOLDER / "axe.min.js").read_text("utf-8")  # see docs/vendored.md
LAYOUT = (FOLDER / "layout.js").read_text("utf-8")
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
BY_COLOUR = ["color-contrast", "link-in-text-block"]
NORMAL: dict[str, Any] = {"color_scheme": "light", "forced_colors": "none"}

SIZE = {"width": 1280, "height": 1024}
NARROW = {"width": 320, "height": 256}  # 1280 x 1024 pixels at 400 % (WCAG 1.4.10)
TEXT_200_PERCENT = "html { font-size: 200% }"
TEXT_SPACING = """* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important }
  p { margin-bottom: 2em !important }"""  # WCAG 1.4.12


def faults(page: Page) -> list[str]:
    """Return the faults of the page as most people see it, and at 320 pixels; the page is left as it was."""
    found = axe(page, TAGS)
    page.set_viewport_size(NARROW)
    found += run(page, "layout", "", ["tooWide", "tooSmall"])
    page.set_viewport_size(SIZE)
    return found


def faults_of_other_looks(page: Page) -> list[str]:
    """Return the faults in dark, with forced colours, with text at 200 % and with wide text spacing."""
    page.emulate_media(color_scheme="dark")
    found = axe(page, BY_COLOUR)
    page.emulate_media(color_scheme="light", forced_colors="active")
    found += run(page, "layout", "", ["invisible"])
    page.emulate_media(**NORMAL)
    page.set_viewport_size({"width": 640, "height": 512})
    for css in (TEXT_200_PERCENT, TEXT_SPACING):
        found += run(page, "layout", css, ["tooWide", "cutOff"])
    page.set_viewport_size(SIZE)
    return found


def axe(page: Page, only: list[str], preload: bool = False) -> list[str]:
    """Run axe with the rules or tags in `only`; `preload` loads style sheets again for css-orientation-lock."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
        page.add_init_script(AXE)  # for all pages that follow
    return run(page, "axe", only, preload)


def run(page: Page, function: str, *arguments: Any) -> list[str]:
    return page.evaluate(f"(args) => ({LAYOUT}).{function}(...args)", arguments)
