"""The nine pictures of the robot check, and whoever knows the key choosing among them."""

from datetime import UTC, datetime

from kmzportal.robot_check.puzzle import ANSWERS
from kmzportal.web.link.robot_check import puzzles


def tick(browser):
    browser.check("Ich bin kein Roboter")
    return browser if browser.htmx else browser.press("Weiter")


def puzzle_in(browser):
    return next(one.get("value") for one in browser.page.iter("input") if one.get("name") == "puzzle")


def answer_to(app, puzzle, link):
    """Return the right tiles, as only the key can tell."""
    with app.app_context():
        tries = (set(tiles) for tiles in ANSWERS)
        return next(one for one in tries if puzzles().solved_by(puzzle, one, f"link:{link.id}", datetime.now(UTC)))


def choose(browser, tiles):
    for tile in tiles:
        browser.check(f"Bild {tile + 1} von 9")
    return browser.press("Bestätigen")
