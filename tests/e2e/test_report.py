"""Jahresbericht on paper."""

import pytest
from playwright.sync_api import expect

from tests.e2e.test_letter import PAGES

pytestmark = pytest.mark.browser


def test_the_report_is_printed_on_two_pages(desk_page):
    page = desk_page()
    page.goto("/kundenservice/bericht")
    expect(page.get_by_role("heading", name="Jahresbericht")).to_be_visible()
    assert len(PAGES.findall(page.pdf(format="A4"))) <= 2
