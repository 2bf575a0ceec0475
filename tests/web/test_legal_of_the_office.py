"""Pages that the office wrote itself, a statement that it dated, and its video in sign language."""

import pytest

from kmzportal import create_app
from kmzportal.services import office_pages
from tests.browser import Browser, only, words

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def house(app, tmp_path):
    """Build a portal whose operator has changed settings or put files into instance/pages."""

    def house(files=(), **settings):
        folder = office_pages.own_folder(tmp_path)
        folder.mkdir()
        for name, content in dict(files).items():
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return Browser(create_app({"PUBLIC_URL": app.config["PUBLIC_URL"], "TESTING": True, **settings}, tmp_path))

    return house


def test_the_statement_is_marked_as_a_draft_until_the_operator_dates_it(app, house):
    assert "Das ist ein Entwurf" in Browser(app).open("/barrierefreiheit").text
    dated = house(ACCESSIBILITY_STATEMENT_DATE="2026-11-20").open("/barrierefreiheit")
    assert "Entwurf" not in dated.text
    assert "Stand der Erklärung: 20.11.2026" in dated.text


def test_a_changed_page_stays_a_page_whatever_is_written_in_it(house):
    text = '# Impressum\n\n<script>alert(1)</script> <h1 onclick="x">{{ config }}</h1> [klick](javascript:alert)'
    browser = house({"impressum.md": text}).open("/impressum")
    assert '<script>alert(1)</script> <h1 onclick="x">{{ config }}</h1> [klick](javascript:alert)' in browser.text
    assert len(list(browser.page.iter("h1"))) == 1


def test_pages_are_read_at_start_and_not_at_a_request(house, tmp_path):
    browser = house({"hilfe.md": "# Hilfe\n\nAnfang"})
    (office_pages.own_folder(tmp_path) / "hilfe.md").unlink()
    assert "Anfang" in browser.open("/hilfe").text


def test_without_a_video_nobody_hears_of_one(app):
    browser = Browser(app).open("/leichte-sprache")
    assert "Gebärdensprache" not in browser.text
    assert browser.open("/leichte-sprache/gebaerdensprache").status == 404


def test_a_video_elsewhere_is_a_link_and_nothing_is_fetched_from_there(house):
    browser = house(SIGN_LANGUAGE_VIDEO="https://video.example/dgs").open("/anmelden").follow("Gebärdensprache")
    link = only((one for one in browser.page.iter("a") if "Video" in words(one)), "link")
    assert link.get("href") == "https://video.example/dgs"
    assert list(browser.page.iter("video")) == []


def test_a_video_of_the_office_plays_only_when_asked_to_and_in_pieces(house):
    browser = house({"dgs.mp4": b"0123456789"}, SIGN_LANGUAGE_VIDEO="dgs.mp4").open("/leichte-sprache")
    video = only(browser.page.iter("video"), "video")
    assert "controls" in video.attrib and "autoplay" not in video.attrib and video.get("preload") == "none"
    answer = browser.client.get(video.get("src"), base_url=browser.site, headers={"Range": "bytes=2-4"}, buffered=True)
    assert (answer.status_code, answer.data, answer.mimetype) == (206, b"234", "video/mp4")


@pytest.mark.parametrize("name", ["../secret_key", "/etc/passwd", "config.toml"])
def test_the_video_is_a_file_of_its_own_folder(house, name):
    browser = house(SIGN_LANGUAGE_VIDEO=name)
    assert browser.open("/leichte-sprache/gebaerdensprache").status == 404
