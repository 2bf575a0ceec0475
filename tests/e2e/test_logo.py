"""The office's logo: the largest adds itself to the login page and nothing else, and fits a telephone."""

import os

import pytest
from PIL import Image

from kmzportal.setting_types import LOGO_BYTES, logo
from tests.e2e.accessibility import run
from tests.e2e.served_portal import ServedPortal
from tests.e2e.test_every_state import FIRST_VISIT, NEXT_VISIT, REQUESTS, Transfer

pytestmark = pytest.mark.browser


def test_the_largest_logo_keeps_the_login_page_light_and_on_the_screen(browser_process, tmp_path):
    Image.frombytes("RGB", (140, 50), os.urandom(140 * 50 * 3)).save(file := tmp_path / "logo.webp", quality=10)
    assert len(logo(file).content) <= LOGO_BYTES
    file.write_bytes(file.read_bytes().ljust(LOGO_BYTES, b"\0"))
    with ServedPortal(tmp_path, OFFICE_LOGO=file.name) as portal:
        context = browser_process.new_context(base_url=portal.url)
        page = context.new_page()
        transfer = Transfer(page)
        transfer.forget([])
        first, requests = transfer.measure("/anmelden")
        following, _ = transfer.measure("/anmelden")
        most = FIRST_VISIT + LOGO_BYTES, NEXT_VISIT, REQUESTS + 1
        assert all(found <= limit for found, limit in zip((first, following, requests), most, strict=True))
        page.set_viewport_size({"width": 320, "height": 600})
        assert run(page, "layout", "", ["tooWide"]) == []
        assert page.locator("header img").evaluate("it => it.naturalWidth") == 140
        context.close()
