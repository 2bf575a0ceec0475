"""The hand-out and the slip on paper: exactly two A4 pages and one A5 page, with all that they say."""

import re

import pytest

pytestmark = pytest.mark.browser
CUT_OFF = """[...document.querySelectorAll(".kmz-sheet")].filter((it) => it.scrollHeight > it.clientHeight + 1
  || it.scrollWidth > it.clientWidth + 1).map((it) => `${it.scrollHeight} of ${it.clientHeight}`)"""


@pytest.mark.parametrize(
    ("path", "sheets", "size", "free"),
    [
        ("handreichung", 2, b"594.95 841.92", (297 - 6.35 - 14.22) / (210 - 2 * 6.35)),  # GTK's default margins
        ("zettel", 1, b"419.52 595.32", 210 / 148),
    ],
)
def test_they_print_on_their_pages_and_nothing_is_cut_off(page, path, sheets, size, free):
    page.goto(f"/hilfe/{path}")
    pdf = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == sheets
    boxes = {tuple(round(float(one)) for one in box.split()) for box in re.findall(rb"/MediaBox\s*\[([^]]+)\]", pdf)}
    assert boxes == {(0, 0, *(round(float(one)) for one in size.split()))}
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 794, "height": 1123})
    assert page.evaluate(CUT_OFF) == []
    sheet = page.locator(".kmz-sheet").first.bounding_box()
    assert sheet["height"] / sheet["width"] < free, "WebKit ignores @page and shrinks it to the printer's margins"
    for image in page.locator(".kmz-sheet img").all():
        assert image.evaluate("(it) => it.decode().then(() => it.naturalWidth)") > 0 and image.is_visible()
    assert not page.locator("header").first.is_visible() and not page.get_by_role("button", name="Drucken").is_visible()


def test_help_prints_the_whole_address_of_its_links(page, portal):
    page.goto("/hilfe")
    page.emulate_media(media="print")
    link = page.locator("article a[href='/kein-zugriff']").first
    address = f"{portal.url.partition('://')[2]}/kein-zugriff"
    assert link.get_attribute("data-address") == address
    assert address in link.evaluate("it => getComputedStyle(it, '::after').content")
