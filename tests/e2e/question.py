"""The question before the end, whether somebody is still there, and when it comes."""

from playwright.sync_api import Locator, Page

WARNED = 28 * 60  # seconds after the last request


def dialog(page: Page) -> Locator:
    return page.get_by_role("alertdialog")
