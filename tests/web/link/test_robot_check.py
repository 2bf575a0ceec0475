"""Ich bin kein Roboter: checkbox and pictures, or the code from the mail."""

from datetime import UTC, datetime, timedelta

import pytest

from kmzportal.models import LinkKind
from kmzportal.robot_check.puzzle import ANSWERS
from kmzportal.web.robot_check import NO_PUZZLE_LEFT, PUZZLES, puzzles
from tests import people
from tests.browser import Browser, field, words

pytestmark = pytest.mark.usefixtures("clock")
AGAIN = "Das stimmt leider nicht. Hier ist ein neues Rätsel. Oder nehmen Sie den Code."
STALE = "Senden Sie das Formular bitte noch einmal ab."
CODE, ENTER_CODE = "Code aus der E-Mail", "Code aus der E-Mail eingeben"
RENEW = "Neuen Link an dieselbe Adresse senden"


def tick(browser):
    browser.check("Ich bin kein Roboter")
    return browser if browser.htmx else browser.press("Weiter")


def puzzle_of(browser):
    return next(one.get("value") for one in browser.page.iter("input") if one.get("name") == "puzzle")


def choose(browser, tiles):
    for tile in tiles:
        browser.check(f"Bild {tile + 1} von 9")
    return browser.press("Bestätigen")


def send(browser, link, puzzle, tiles):
    """Send an answer that is not of the puzzle on the page."""
    return browser.post(f"/konto-link/{link.id}/raetsel", puzzle=puzzle, tiles=[str(tile) for tile in tiles])


@pytest.fixture
def right_tiles(app):
    def right_tiles(puzzle, link):
        with app.app_context():
            now, answers = datetime.now(UTC), map(set, ANSWERS)
            return next(one for one in answers if puzzles().solved_by(puzzle, one, f"link:{link.id}", now))

    return right_tiles


@pytest.fixture
def ticked(landed):
    return tick(landed)


@pytest.mark.with_and_without_htmx
def test_the_puzzle_follows_the_checkbox_also_from_a_stale_form(landed, backend, link):
    landed.press("Weiter")
    assert (landed.status, "Setzen Sie bitte den Haken." in landed.text) == (422, True)
    field(landed.page, "Ich bin kein Roboter").set("checked", "")
    landed.stale().press("Weiter")
    assert (landed.status, STALE in landed.text, backend.read(link).opened_at) == (422, True, None)
    tick(landed)
    assert landed.heading == "Bilderrätsel"
    assert backend.read(link).opened_at == people.NOW


@pytest.mark.with_and_without_htmx
def test_the_puzzle_and_the_code_stay_when_they_are_loaded_again(ticked, link):
    assert ticked.path == f"/konto-link/{link.id}/raetsel"
    assert ticked.open(ticked.path).heading == "Bilderrätsel"
    assert choose(ticked, set()).open(ticked.path).heading == "Bilderrätsel"
    assert ticked.follow(ENTER_CODE).open(ticked.path).heading == "Code aus der E-Mail"


def test_pictures_and_code_are_two_cards_of_equal_rank_from_the_tick_on(landed):
    def cards():
        ranks = {}
        for card in landed.page.find_class("kern-card"):
            acts = [one for one in card.iter("button", "a") if "kern-btn" in one.get("class", "")]
            ranks[words(next(card.iter("h2")))] = [(words(one), one.get("class")) for one in acts]
        return ranks

    same = "kern-btn kern-btn--primary"
    code = {"Mit dem Code": [(ENTER_CODE, same)]}
    assert cards() == {"Mit Bildern": [("Weiter", same)]} | code
    tick(landed)
    assert cards() == {"Mit Bildern": [("Bestätigen", same)]} | code


def test_who_cannot_see_the_pictures_meets_the_way_to_the_code_first(ticked):
    order = [one for one in ticked.page.iter("img", "a") if one.tag == "img" or "/code" in one.get("href")]
    assert [one.tag for one in order] == ["a", "img", "a"]
    assert ticked.follow("Mit dem Code geht es auch.").heading == "Code aus der E-Mail"


@pytest.mark.with_and_without_htmx
def test_wrong_pictures_get_a_new_puzzle_and_the_right_ones_lead_to_the_form(ticked, backend, link, right_tiles):
    for wrong in (set(), {0, 1, 2, 3, 4, 5, 6, 7, 8}):
        before = puzzle_of(ticked)
        choose(ticked, wrong)
        assert (ticked.status, AGAIN in ticked.text, puzzle_of(ticked) != before) == (422, True, True)
    choose(ticked.stale(), right_tiles(puzzle_of(ticked), link))
    assert (ticked.status, STALE in ticked.text) == (422, True)
    choose(ticked, right_tiles(puzzle_of(ticked), link))
    assert (ticked.heading, backend.read(link).ended_at) == ("Bestätigt", None)
    assert ticked.follow("Konto bearbeiten").heading == "Konto bearbeiten"


def test_a_puzzle_opened_by_its_address_marks_the_link_as_opened_too(landed, backend, link, right_tiles):
    landed.open(f"/konto-link/{link.id}/raetsel")
    choose(landed, right_tiles(puzzle_of(landed), link))
    assert backend.read(link).opened_at == people.NOW


@pytest.mark.parametrize("first", ["right", "wrong"])
def test_a_puzzle_can_be_answered_once_in_any_browser(ticked, app, mailed, link, right_tiles, first):
    puzzle = puzzle_of(ticked)
    right = right_tiles(puzzle, link)
    choose(ticked, right if first == "right" else set(range(9)) - right)
    other = Browser(app).open(mailed(link))
    assert send(other, link, puzzle, right).status_code == 422
    assert other.open(f"/konto-link/{link.id}/konto").heading == "Link zum Konto"


def test_a_puzzle_counts_for_its_link_only_and_for_a_quarter_of_an_hour(
    ticked, app, max_, issue, mailed, link, right_tiles, clock
):
    his = issue(LinkKind.DESK, max_)
    puzzle = puzzle_of(tick(Browser(app).open(mailed(his))))
    assert send(ticked, link, puzzle, right_tiles(puzzle, his)).status_code == 422
    tiles = right_tiles(puzzle_of(ticked), link)
    clock.shift(timedelta(minutes=15))
    choose(ticked, tiles)
    assert (ticked.status, AGAIN in ticked.text) == (422, True)


@pytest.mark.parametrize("puzzle", [None, "", "x", "a.b", "\0", "ü", "x" * 10_000])
def test_a_malformed_answer_is_a_wrong_one(landed, link, puzzle):
    fields = {} if puzzle is None else {"puzzle": puzzle}
    for tiles in ("0", "x", "-1", "99999999999999999999", ""):
        assert landed.post(f"/konto-link/{link.id}/raetsel", tiles=tiles, **fields).status_code == 422


def test_the_image_is_shown_in_this_browser_only_and_the_page_names_no_picture(ticked, app, link):
    labels = [words(one) for one in ticked.page.iter("label") if "kmz-tile" in one.get("class", "")]
    assert labels == [f"Bild {place} von 9" for place in range(1, 10)]
    assert ".webp" not in ticked.answer.text
    (source,) = [one.get("src") for one in ticked.page.iter("img")]
    answer = ticked.open(source).answer
    assert answer.mimetype.startswith("image/") and answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers, "a late picture would undo a passed check"
    assert Browser(app).open(source).status == 404
    for token in ("x", "..%2f..%2fetc%2fpasswd", "%00", "x" * 3000):
        assert ticked.open(f"/konto-link/{link.id}/bild/{token}").status == 404


@pytest.mark.with_and_without_htmx
def test_the_code_passes_instead_of_the_puzzle_also_from_a_stale_form(ticked, backend, link):
    code = backend.keys.code(link)
    ticked.follow(ENTER_CODE).stale().submit("Bestätigen", {CODE: code})
    assert (ticked.status, ticked.value(CODE), backend.read(link).code_tries) == (422, code, 0)
    assert ticked.press("Bestätigen").heading == "Bestätigt"


@pytest.mark.parametrize("typed", ["", "AAAA-AAAA", "\0", "ü" * 8, "x" * 10_000, "<b>x</b>"])
def test_a_wrong_code_is_refused_and_the_right_one_passes_as_people_type_it(landed, backend, link, typed):
    landed.follow(ENTER_CODE).submit("Bestätigen", {CODE: typed})
    assert (landed.status, backend.read(link).ended_at) == (422, None)
    landed.submit("Bestätigen", {CODE: f" {backend.keys.code(link).lower().replace('-', ' ')}"})
    assert landed.heading == "Bestätigt"


@pytest.fixture
def used_up(landed):
    """The page after five wrong codes."""
    landed.follow(ENTER_CODE)
    for left in ("5 Versuche.", "4 Versuche.", "3 Versuche.", "2 Versuche.", "1 Versuch."):
        assert f"Sie haben noch {left}" in landed.text
        landed.submit("Bestätigen", {CODE: "AAAA-AAAA"})
    return landed


@pytest.mark.with_and_without_htmx
def test_after_five_wrong_codes_a_new_link_and_code_are_mailed(used_up, backend, mailed, link, newest_link):
    assert "Dieser Code gilt nicht mehr. Mit einem Klick bekommen Sie einen neuen Link" in used_up.text
    assert "fünfmal" not in used_up.text
    used_up.stale().press(RENEW)
    assert (used_up.status, used_up.heading) == (422, "Dieser Code gilt nicht mehr")
    assert used_up.press(RENEW).heading == "Schauen Sie in Ihr Postfach"
    assert newest_link().id != link.id
    used_up.open(mailed(newest_link())).follow(ENTER_CODE)
    assert used_up.submit("Bestätigen", {CODE: backend.keys.code(newest_link())}).heading == "Bestätigt"


def test_after_five_wrong_codes_the_right_one_is_refused_and_the_pictures_still_pass(
    used_up, backend, link, right_tiles
):
    assert used_up.post(f"/konto-link/{link.id}/code", code=backend.keys.code(link)).status_code == 422
    assert used_up.open(f"/konto-link/{link.id}/konto").heading == "Link zum Konto"
    used_up.open(f"/konto-link/{link.id}/code").follow("Lieber das Bilderrätsel lösen")
    assert choose(used_up, right_tiles(puzzle_of(used_up), link)).heading == "Bestätigt"


@pytest.mark.with_and_without_htmx
def test_after_five_wrong_puzzles_of_a_visit_only_the_code_passes(ticked, app, backend, mailed, link, right_tiles):
    for _ in range(PUZZLES):
        last = puzzle_of(ticked)
        choose(ticked, set())
    assert ticked.heading == "Code aus der E-Mail"
    assert NO_PUZZLE_LEFT in ticked.text and "Lieber das Bilderrätsel lösen" not in ticked.text
    assert ticked.open(f"/konto-link/{link.id}/raetsel").heading == "Code aus der E-Mail"
    assert send(ticked, link, last, right_tiles(last, link)).status_code == 303
    other = tick(Browser(app).open(mailed(link)))
    fresh = puzzle_of(other)
    assert send(ticked, link, fresh, right_tiles(fresh, link)).status_code == 303
    assert ticked.open(f"/konto-link/{link.id}/konto").heading == "Link zum Konto"
    assert backend.actions().count("puzzle.failed") == 1, "one record a visit"
    assert choose(other, right_tiles(fresh, link)).heading == "Bestätigt", "each visit has its own"
    ticked.open(f"/konto-link/{link.id}/code")
    assert ticked.submit("Bestätigen", {CODE: backend.keys.code(link)}).heading == "Bestätigt"


def test_a_puzzle_that_is_not_compared_costs_no_try(ticked, link, right_tiles, clock):
    used = puzzle_of(ticked)
    choose(ticked, set())
    for _ in range(2 * PUZZLES):
        assert send(ticked, link, used, right_tiles(used, link)).status_code == 422
        assert send(ticked, link, "x", [1]).status_code == 422
    expired = puzzle_of(ticked)
    clock.shift(timedelta(minutes=16))
    for _ in range(2 * PUZZLES):
        assert send(ticked, link, expired, [1]).status_code == 422
    ticked.open(f"/konto-link/{link.id}/raetsel")
    assert choose(ticked, right_tiles(puzzle_of(ticked), link)).heading == "Bestätigt"


def test_what_is_no_code_is_told_so_and_costs_no_try(landed, backend, link):
    landed.follow(ENTER_CODE)
    assert "Sie haben noch 5 Versuche." in landed.text
    short, long = "Es fehlen noch Zeichen.", "Das sind zu viele Zeichen."
    for typed, fault in {"ABCD-EFG": short, "ABCD-EFGHJ": long, "AB CD": short, "-": short}.items():
        landed.submit("Bestätigen", {CODE: typed})
        assert (landed.status, f"{fault} Der Code hat 8 Zeichen." in landed.text) == (422, True)
    assert landed.submit("Bestätigen", {CODE: backend.keys.code(link)}).heading == "Bestätigt"
    assert backend.read(link).code_tries == 0
