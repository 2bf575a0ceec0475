"""Whoever has no mouse need not go through the head of every page."""

import pytest
from playwright.sync_api import expect

from tests.e2e.hands import Keyboard, field, link

pytestmark = pytest.mark.browser


def test_the_keyboard_skips_to_the_content(page):
    page.goto("/anmelden")
    hand = Keyboard(page)
    hand.press(link(page, "Zum Inhalt springen"))
    expect(page.get_by_role("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(field(page, "E-Mail-Adresse")).to_be_focused()
