"""Style sheet, scripts, fonts and icons: small, kept for a year, and nothing beside them can be fetched."""

import gzip
import re

import pytest

from kmzportal.web.static_files import FOLDER

pytestmark = pytest.mark.usefixtures("portal")
PACKED = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.gz"))


@pytest.fixture
def fetch(portal):
    """Send a request and read the whole answer, so that its file is closed."""

    def fetch(path, method="GET", **headers):
        site = portal.config["PUBLIC_URL"]
        return portal.test_client().open(path, method=method, base_url=site, headers=headers, buffered=True)

    return fetch


@pytest.fixture
def root(fetch):
    """The folder of all static files as a URL, with the fingerprint in it."""
    return re.search(r'href="(/static/[^"]+/)css/kmz\.css"', fetch("/anmelden").text)[1]


def test_every_file_named_by_a_page_may_be_kept_for_a_year(fetch):
    names = re.findall(r'(?:src|href)="(/static/[^"]+)"', fetch("/anmelden").text)
    assert len(names) >= 5
    for name in names:
        answer = fetch(name)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"  # the portal is under https here
        assert not {"Set-Cookie", "Access-Control-Allow-Origin"} & set(answer.headers.keys())


def test_every_file_named_by_the_style_sheet_exists(fetch, root):
    named = set(re.findall(r"url\(\"?\.\./([^)\"]+)\"?\)", fetch(f"{root}css/kmz.css").text))
    assert {name.partition("/")[0] for name in named} == {"fonts", "icons"}
    for name in named:
        assert fetch(root + name).status_code == 200, name


def test_a_browser_that_understands_gzip_gets_the_packed_file(fetch, root):
    packed, plain = fetch(f"{root}css/kmz.css", **{"Accept-Encoding": "gzip, br"}), fetch(f"{root}css/kmz.css")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
    assert gzip.decompress(packed.data) == plain.data
    assert packed.mimetype == plain.mimetype == "text/css"


def test_every_style_sheet_and_script_is_shipped_packed():
    names = {path.relative_to(FOLDER).as_posix() for kind in ("css", "js", "svg") for path in FOLDER.rglob(f"*.{kind}")}
    assert names <= {name.removesuffix(".gz") for name in PACKED}


@pytest.mark.parametrize("name", PACKED)
def test_a_packed_file_holds_the_present_version(name):
    plain = (FOLDER / name.removesuffix(".gz")).read_bytes()
    assert gzip.decompress((FOLDER / name).read_bytes()) == plain, "out of date: run `make packed`"


def test_static_files_can_only_be_read_and_head_gets_headers_only(fetch, root):
    assert [fetch(f"{root}css/kmz.css", method).status_code for method in ("POST", "PUT", "DELETE")] == [405] * 3
    answer = fetch(f"{root}css/kmz.css", "HEAD")
    assert (answer.status_code, answer.data) == (200, b"")


@pytest.mark.parametrize(
    "name",
    [
        "../settings.py",
        "..%2fsettings.py",
        "",
        "css",
        "css/",
        "css/kmz.css%00",
        "css/../../settings.py",
        "//etc/passwd",
    ],
)
def test_nothing_beside_the_static_files_can_be_fetched(fetch, root, name):
    assert fetch(root + name).status_code in (308, 404)
    assert fetch(f"/static/x/{name}").status_code in (308, 404)
