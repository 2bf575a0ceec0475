"""What the operator gives the office: its logo in the header, and hours beside its telephone number."""

import io

import pytest
from PIL import Image

from kmzportal import settings
from kmzportal.setting_types import LOGO_BYTES
from kmzportal.settings import SettingsError
from tests.browser import Browser
from tests.site_wide.test_pages import check_headers

HOURS = "Montag bis Freitag, 8 bis 12 Uhr"


def picture(kind="PNG", size=(120, 60)):
    content = io.BytesIO()
    Image.new("RGB", size, "navy").save(content, kind)
    return content.getvalue()


@pytest.mark.parametrize(("kind", "mimetype"), [("PNG", "image/png"), ("WEBP", "image/webp"), ("JPEG", "image/jpeg")])
def test_the_logo_stands_in_the_header_of_every_page(build_portal, tmp_path, kind, mimetype):
    (tmp_path / "logo").write_bytes(picture(kind))
    portal = build_portal(OFFICE_LOGO="logo")
    for path in ("/anmelden", "/hilfe", "/gibt-es-nicht"):
        [logo] = Browser(portal).open(path).page.xpath("//header//img")
        assert (logo.get("alt"), logo.get("width"), logo.get("height")) == ("", "80", "40")
    answer = Browser(portal).open(logo.get("src")).answer
    assert (answer.mimetype, answer.data) == (mimetype, picture(kind))
    assert "immutable" in answer.headers["Cache-Control"] and "stand=" in logo.get("src")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_without_a_logo_there_is_no_picture_and_no_address(app):
    browser = Browser(app).open("/anmelden")
    assert browser.page.xpath("//header//img") == []
    assert browser.open("/logo").status == 404
    check_headers(browser.answer, "/logo")


@pytest.mark.parametrize(("content", "complaint"), [
    (None, "gibt es nicht. Legen Sie das Logo dorthin."),
    (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "ist kein Bild in PNG, WebP oder"),
    (picture("GIF"), "ist kein Bild in PNG, WebP oder JPEG."),
    (picture()[:60], "ist kein Bild in PNG, WebP oder JPEG."),
    (picture() + bytes(LOGO_BYTES), f"möglich sind {LOGO_BYTES}. Speichern Sie das Logo kleiner."),
    (picture(size=(200, 20)), "ist 200 x 20 Pixel groß. Beide Seiten brauchen 40 bis 400 Pixel."),
    (picture("WEBP", (1000, 60)), "ist 1000 x 60 Pixel groß."),
])  # fmt: skip
def test_a_wrong_logo_is_named_with_its_cure(tmp_path, content, complaint):
    if content is not None:
        (tmp_path / "logo.png").write_bytes(content)
    with pytest.raises(SettingsError) as refused:
        settings.load(tmp_path, {}, {"OFFICE_LOGO": "logo.png", "PUBLIC_URL": "http://127.0.0.1:5000"}, make_keys=False)
    assert str(refused.value).startswith("OFFICE_LOGO: ") and complaint in str(refused.value)
    assert "\n" not in str(refused.value)


def test_hours_stand_beside_the_number_wherever_it_is_the_way_out(build_portal):
    portal = build_portal(OFFICE_HOURS=HOURS)
    for path in ("/anmelden", "/gibt-es-nicht", "/link/" + "x" * 43, "/kein-zugriff", "/hilfe", "/leichte-sprache"):
        browser = Browser(portal).open(path)
        assert browser.text.count("07051 965 220") >= 1 and f"({HOURS})" in browser.text, path
    assert f"Sprechzeiten: {HOURS}" in Browser(portal).open("/hilfe").text


def test_without_hours_no_page_speaks_of_them(app):
    for path in ("/anmelden", "/hilfe", "/hilfe/handreichung"):
        assert "Sprechzeiten" not in Browser(app).open(path).text
