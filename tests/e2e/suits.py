"""What must be true of every page for everybody: asked of a page in whatever state it is, in a real browser."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

HERE = Path(__file__).parent
AXE = (HERE / "axe.min.js").read_text("utf-8")  # see docs/vendored.md
SUITS = (HERE / "suits.js").read_text("utf-8")
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
BY_COLOUR = ["color-contrast", "link-in-text-block"]
#: As people set their screens; what has no colours of its own is looked at once.
SCHEMES: list[dict[str, Any]] = [{"color_scheme": "dark"}, {"forced_colors": "active"}]
AS_USUAL: dict[str, Any] = {"color_scheme": "light", "forced_colors": "none"}

SIZE = {"width": 1280, "height": 1024}
NARROW = {"width": 320, "height": 256}  # 1280 x 1024 pixels at 400 %
#: A style sheet made by script passes the CSP.
STYLED = (
    "(css) => { const sheet = new CSSStyleSheet(); sheet.replaceSync(css); document.adoptedStyleSheets.push(sheet); }"
)
UNSTYLED = "document.adoptedStyleSheets.pop()"
TWICE_AS_LARGE = "html { font-size: 200% }"
WIDELY_SET = """* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important }
  p { margin-bottom: 2em !important }"""  # WCAG 1.4.12


def faults(page: Page) -> list[str]:
    """Return what keeps somebody from using the page as it stands now; the page is left as it was."""
    found = axe(page, TAGS)
    for scheme in SCHEMES:
        page.emulate_media(**AS_USUAL | scheme)
        found += axe(page, BY_COLOUR) + (ask(page, "unseen") if "forced_colors" in scheme else [])
    page.emulate_media(**AS_USUAL)
    page.set_viewport_size(NARROW)
    found += ask(page, "wider") + ask(page, "smaller")
    page.set_viewport_size({"width": 640, "height": 512})
    for css in (TWICE_AS_LARGE, WIDELY_SET):
        page.evaluate(STYLED, css)
        found += ask(page, "wider") + ask(page, "cutOff")
        page.evaluate(UNSTYLED)
    page.set_viewport_size(SIZE)
    return found


def axe(page: Page, only: list[str]) -> list[str]:
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
        page.add_init_script(AXE)  # what is kept in the browser need not be sent again with every page that follows
    return ask(page, "axe", only)


def ask(page: Page, what: str, *told: Any) -> list[str]:
    return page.evaluate(f"(told) => ({SUITS}).{what}(...told)", told)
