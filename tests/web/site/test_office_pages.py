"""Hilfe and the legal pages, with the operator's own texts, and addresses that programs look for."""

import gzip
import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from kmzportal import create_app
from kmzportal.services import office_pages
from tests.browser import Browser, only, words

pytestmark = pytest.mark.usefixtures("clock")
LABELS = {
    "Hilfe": "/hilfe",
    "Impressum": "/impressum",
    "Datenschutz": "/datenschutz",
    "Barrierefreiheit": "/barrierefreiheit",
    "Leichte Sprache": "/leichte-sprache",
}


@pytest.mark.parametrize("path", LABELS.values())
def test_each_page_is_public_marked_compressed_and_sets_no_cookie(app, path):
    browser = Browser(app).open(path)
    assert (browser.status, browser.title.startswith(browser.heading)) == (200, True)
    assert "Set-Cookie" not in browser.answer.headers
    assert browser.answer.headers["X-Robots-Tag"] == "all"
    current = [link.get("href") for link in browser.page.iter("a") if link.get("aria-current") == "page"]
    assert current == [path]
    small = browser.client.get(path, base_url=browser.site, headers={"Accept-Encoding": "gzip"})
    assert small.headers["Content-Encoding"] == "gzip" and "Accept-Encoding" in small.vary
    assert gzip.decompress(small.data) == browser.answer.data and len(small.data) < 6000


def test_they_are_linked_from_every_page_in_the_same_place(app, erika, issue, mailed):
    nav = "//nav[contains(@aria-label, 'Rechtliches')]//a"
    paths = ("/anmelden", "/hilfe", mailed(issue("desk", erika)), "/gibt-es-nicht", "/link/" + "x" * 43)
    for browser in (Browser(app).log_in(erika), *(Browser(app).open(path) for path in paths)):
        assert {words(link): link.get("href") for link in browser.page.xpath(nav)} == LABELS, browser.path


def test_a_refused_login_and_a_request_for_a_link_lead_to_their_help(app, erika):
    browser = Browser(app).open("/anmelden")
    assert not any("Hilfe: " in words(link) for link in browser.page.iter("a"))
    browser.log_in(erika, "falsch").follow("Hilfe: Es erscheint „Falsche Zugangsdaten“")
    assert "falsche-zugangsdaten" in [one.get("id") for one in browser.page.iter("section")]
    browser.open("/passwort-vergessen").submit("Link anfordern", {"E-Mail-Adresse": "jemand@schule.example"})
    assert browser.follow("Hilfe: Es kommt keine E-Mail an").heading == "Hilfe zum Konto"


def test_every_help_that_a_template_links_to_exists(app):
    """Also where a template is shown in a rare state only."""
    package = office_pages.SHIPPED.parent.parent
    sources = (*package.glob("templates/**/*.html"), *package.glob("web/*.py"))
    linked = set(re.findall(r'\bhelp(?:\(|=)"([a-z-]+)"', "".join(path.read_text("utf-8") for path in sources)))
    assert linked >= {"falsche-zugangsdaten", "keine-email", "link-geht-nicht", "bilderraetsel", "gesperrt"}
    assert linked - {one.get("id") for one in Browser(app).open("/hilfe").page.iter("section")} == set()


@pytest.mark.parametrize("path", LABELS.values())
def test_every_link_on_the_pages_leads_somewhere(app, path):
    browser = Browser(app).open(path)
    for link in browser.page.iter("a"):
        target, _, anchor = link.get("href").partition("#")
        assert link.get("href").startswith(("/", "#", "https://", "mailto:", "tel:")), link.get("href")
        if target.startswith("/"):
            assert Browser(app).open(target).status == 200, target
        if anchor:
            ids = {one.get("id") for one in (Browser(app).open(target) if target else browser).page.iter()}
            assert anchor in ids, link.get("href")


def test_a_barrier_can_be_reported_without_a_login(app):
    browser = Browser(app).open("/barrierefreiheit")
    targets = [link.get("href") for link in browser.page.iter("a")]
    assert {"mailto:support@kmz-cw.de?subject=Barriere%20melden", "tel:+497051965220"} <= set(targets)
    assert "Schlichtungsstelle" in browser.text and "Überwachungsstelle" in browser.text


@pytest.fixture
def changed(app, tmp_path):
    """Open a portal whose operator has changed settings or put files into instance/pages."""

    def changed(files=(), **settings):
        folder = office_pages.own_folder(tmp_path)
        folder.mkdir()
        for name, content in dict(files).items():
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return Browser(create_app({"PUBLIC_URL": app.config["PUBLIC_URL"], "TESTING": True, **settings}, tmp_path))

    return changed


def test_the_statement_is_marked_as_a_draft_until_the_operator_dates_it(app, changed):
    assert "Das ist ein Entwurf" in Browser(app).open("/barrierefreiheit").text
    dated = changed(ACCESSIBILITY_STATEMENT_DATE="2026-11-20").open("/barrierefreiheit")
    assert "Entwurf" not in dated.text
    assert "Stand der Erklärung: 20.11.2026" in dated.text


def test_a_changed_page_is_read_at_the_start_and_its_text_never_becomes_markup(changed, tmp_path):
    text = '<script>alert(1)</script> <h1 onclick="x">{{ config }}</h1> [klick](javascript:alert)'
    browser = changed({"impressum.md": f"# Impressum\n\n{text}"})
    (office_pages.own_folder(tmp_path) / "impressum.md").unlink()
    assert text in browser.open("/impressum").text
    assert len(list(browser.page.iter("h1"))) == 1


def test_a_video_elsewhere_is_a_link_and_without_a_video_there_is_none(app, changed):
    browser = Browser(app).open("/leichte-sprache")
    assert "Gebärdensprache" not in browser.text
    assert browser.open("/leichte-sprache/gebaerdensprache").status == 404
    browser = changed(SIGN_LANGUAGE_VIDEO="https://video.example/dgs").open("/anmelden").follow("Gebärdensprache")
    link = only((one for one in browser.page.iter("a") if "Video" in words(one)), "link")
    assert (link.get("href"), list(browser.page.iter("video"))) == ("https://video.example/dgs", [])


def test_a_video_of_the_office_plays_only_when_asked_to_and_in_pieces(changed):
    browser = changed({"dgs.mp4": b"0123456789"}, SIGN_LANGUAGE_VIDEO="dgs.mp4").open("/leichte-sprache")
    video = only(browser.page.iter("video"), "video")
    assert "controls" in video.attrib and "autoplay" not in video.attrib and video.get("preload") == "none"
    answer = browser.client.get(video.get("src"), base_url=browser.site, headers={"Range": "bytes=2-4"}, buffered=True)
    assert (answer.status_code, answer.data, answer.mimetype) == (206, b"234", "video/mp4")


def test_who_reads_the_video_slowly_leaves_the_threads_to_the_pages(changed):
    browser = changed({"dgs.mp4": b"0" * 100_000}, SIGN_LANGUAGE_VIDEO="dgs.mp4")
    ask = {"path": "/leichte-sprache/gebaerdensprache", "base_url": browser.site}
    parts = {}, {"method": "HEAD"}, {"headers": {"Range": "bytes=2-"}}, {"headers": {"Range": "bytes=200000-"}}
    for how in parts * 4:
        browser.client.open(**ask, **how).close()
    slow = [browser.client.open(**ask, **parts[0]) for _ in range(4)]
    answers = [browser.client.open(**ask, buffered=True).status_code, browser.open("/anmelden").status]
    for answer in slow:
        answer.close()
    assert [*answers, browser.client.open(**ask, buffered=True).status_code] == [503, 200, 200]


@pytest.mark.parametrize("name", ["../secret_key", "/etc/passwd", "config.toml"])
def test_the_video_is_a_file_of_its_own_folder(changed, name):
    browser = changed(SIGN_LANGUAGE_VIDEO=name)
    assert browser.open("/leichte-sprache/gebaerdensprache").status == 404


def test_a_password_manager_finds_where_to_change_the_password(app, erika):
    answer = app.test_client().get("/.well-known/change-password", base_url=app.config["PUBLIC_URL"])
    assert (answer.status_code, answer.location) == (303, "/einstellungen/konto")


def test_who_found_a_hole_finds_whom_to_tell(app):
    answer = Browser(app).open("/.well-known/security.txt").answer
    fields = dict(reversed(line.split(": ", 1)) for line in answer.text.splitlines())
    names = {name: value for value, name in fields.items()}
    assert answer.content_type == "text/plain; charset=utf-8"
    assert {"mailto:support@kmz-cw.de", "tel:+497051965220"} <= set(fields)
    assert names["Canonical"] == "https://konto.kmz.example/.well-known/security.txt"
    assert names["Preferred-Languages"] == "de, en"
    left = datetime.fromisoformat(names["Expires"]) - datetime.now(UTC)
    assert timedelta(days=90) < left < timedelta(days=365)


def test_robots_may_come_in_and_read_what_is_not_for_them(app):
    answer = Browser(app).open("/robots.txt").answer
    assert (answer.text, answer.mimetype) == ("User-agent: *\nDisallow:\n", "text/plain")
    assert Browser(app).open("/anmelden").answer.headers["X-Robots-Tag"] == "noindex, nofollow"


def test_the_browsers_frame_and_the_home_screen_know_the_portal(app):
    browser = Browser(app).open("/gibt-es-nicht")
    linked = {link.get("rel"): link.get("href") for link in browser.page.iter("link")}
    themes = {meta.get("media"): meta.get("content") for meta in browser.page.iter("meta") if meta.get("media")}
    assert len(themes) == 2 and all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in themes.values())
    manifest = json.loads(browser.open(linked["manifest"]).answer.text)
    assert browser.answer.mimetype == "application/manifest+json"
    assert (manifest["name"], manifest["lang"], manifest["start_url"]) == ("Kreismedienzentrum Calw", "de", "/")
    for path in (linked["apple-touch-icon"], linked["icon"], *(icon["src"] for icon in manifest["icons"])):
        assert browser.open(path).answer.mimetype.startswith("image/"), path
    assert browser.open("/favicon.ico").answer.mimetype.startswith("image/")
