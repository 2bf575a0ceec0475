"""Ich bin kein Roboter: checkbox and pictures, or the code from the mail."""

from datetime import timedelta

import pytest

from kmzportal.models.account_link import LinkKind
from kmzportal.services import links
from tests import people
from tests.browser import Browser, field, words
from tests.web.by_hand import post
from tests.web.link.pictures import answer_to, choose, puzzle_in, tick
from tests.web.links import newest

pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.with_and_without_htmx]
AGAIN = "Das stimmt leider nicht. Hier ist ein neues Rätsel. Oder nehmen Sie den Code."
CODE = "Code aus der E-Mail"


def test_ticking_brings_up_the_puzzle_in_place(landed, backend, link):
    tick(landed)
    assert landed.heading == "Bilderrätsel"
    assert landed.path == f"/konto-link/{link.id}/{'roboter' if landed.htmx else 'raetsel'}"
    assert backend.read(link).opened_at == people.NOW


def test_whoever_forgets_the_tick_is_told(landed):
    landed.press("Weiter")
    assert landed.status == 422
    assert "Setzen Sie bitte den Haken." in landed.text


def test_the_right_pictures_lead_to_konto_bearbeiten(landed, app, link):
    tick(landed)
    choose(landed, answer_to(app, puzzle_in(landed), link))
    landed.follow("Konto bearbeiten")
    assert landed.heading == "Konto bearbeiten"


def test_a_puzzle_opened_by_its_address_opens_the_link_too(landed, app, backend, link):
    landed.open(f"/konto-link/{link.id}/raetsel")
    choose(landed, answer_to(app, puzzle_in(landed), link))
    assert backend.read(link).opened_at == people.NOW


def test_the_wrong_pictures_bring_a_new_puzzle_and_burn_nothing(landed, app, backend, link):
    tick(landed)
    for _ in range(7):
        before = puzzle_in(landed)
        choose(landed, set(range(9)) - answer_to(app, before, link))
        assert landed.status == 422
        assert AGAIN in landed.text
        assert puzzle_in(landed) != before
    choose(landed, answer_to(app, puzzle_in(landed), link))
    assert landed.heading == "Bestätigt"
    assert backend.read(link).ended_at is None


def test_choosing_nothing_is_wrong_like_any_other_choice(landed):
    tick(landed).press("Bestätigen")
    assert landed.status == 422
    assert AGAIN in landed.text


def test_a_solved_puzzle_opens_no_second_browser(landed, app, backend, link):
    tick(landed)
    puzzle = puzzle_in(landed)
    tiles = answer_to(app, puzzle, link)
    choose(landed, tiles)
    other = Browser(app).open(f"/link/{backend.keys.token(link)}")
    answer = post(other, f"/konto-link/{link.id}/raetsel", puzzle=puzzle, tiles=[str(tile) for tile in tiles])
    assert answer.status_code == 422
    assert other.open(f"/konto-link/{link.id}/konto").heading == "Link zum Konto"


def test_a_puzzle_answered_wrongly_cannot_be_answered_again(landed, app, link):
    tick(landed)
    puzzle = puzzle_in(landed)
    tiles = answer_to(app, puzzle, link)
    choose(landed, set(range(9)) - tiles)
    answer = post(landed, f"/konto-link/{link.id}/raetsel", puzzle=puzzle, tiles=[str(tile) for tile in tiles])
    assert answer.status_code == 422


def test_the_puzzle_of_another_link_counts_for_nothing(landed, app, backend, max_, link):
    his = backend.run(links.issue, LinkKind.DESK, max_)
    max_at_home = tick(Browser(app).open(f"/link/{backend.keys.token(his)}"))
    puzzle = puzzle_in(max_at_home)
    tiles = [str(tile) for tile in answer_to(app, puzzle, his)]
    assert post(landed, f"/konto-link/{link.id}/raetsel", puzzle=puzzle, tiles=tiles).status_code == 422
    assert landed.open(f"/konto-link/{link.id}/konto").heading == "Link zum Konto"


def test_a_puzzle_is_good_for_a_quarter_of_an_hour(landed, app, link, clock):
    tick(landed)
    tiles = answer_to(app, puzzle_in(landed), link)
    clock.shift(timedelta(minutes=15))
    choose(landed, tiles)
    assert landed.status == 422
    assert AGAIN in landed.text


@pytest.mark.parametrize("puzzle", [None, "", "x", "a.b", "\0", "ü", "x" * 10_000])
@pytest.mark.parametrize("tiles", ["0", "x", "-1", "99999999999999999999", ""])
def test_what_is_no_puzzle_is_a_wrong_answer(app, backend, link, puzzle, tiles):
    landed = Browser(app).open(f"/link/{backend.keys.token(link)}")
    fields = {} if puzzle is None else {"puzzle": puzzle}
    assert post(landed, f"/konto-link/{link.id}/raetsel", tiles=tiles, **fields).status_code == 422


def test_nobody_without_the_link_sees_the_picture(landed, app):
    tick(landed)
    (source,) = [one.get("src") for one in landed.page.iter("img")]
    assert landed.open(source).answer.mimetype.startswith("image/")
    assert landed.answer.headers["Cache-Control"] == "no-store"
    assert Browser(app).open(source).status == 404


@pytest.mark.parametrize("token", ["x", "..%2f..%2fetc%2fpasswd", "%00", "x" * 3000])
def test_what_is_no_puzzle_has_no_picture(landed, link, token):
    assert landed.open(f"/konto-link/{link.id}/bild/{token}").status == 404


def test_the_page_names_none_of_the_pictures(landed):
    tick(landed)
    labels = [words(one) for one in landed.page.iter("label") if "kmz-tile" in one.get("class", "")]
    assert labels == [f"Bild {place} von 9" for place in range(1, 10)]
    assert ".webp" not in landed.answer.text


def test_the_tick_from_an_old_page_works_at_the_second_click(landed, backend, link):
    field(landed.page, "Ich bin kein Roboter").set("checked", "")
    landed.stale().press("Weiter")
    assert landed.status == 422
    assert "Senden Sie das Formular bitte noch einmal ab." in landed.text
    assert backend.read(link).opened_at is None
    landed.press("Weiter")
    assert landed.heading == "Bilderrätsel"


def test_the_pictures_from_an_old_page_work_at_the_second_click(landed, app, link):
    tick(landed)
    choose(landed.stale(), answer_to(app, puzzle_in(landed), link))
    assert landed.status == 422
    assert "Senden Sie das Formular bitte noch einmal ab." in landed.text
    choose(landed, answer_to(app, puzzle_in(landed), link))
    assert landed.heading == "Bestätigt"


def mistype_five_times(browser):
    browser.follow("Code aus der E-Mail eingeben")
    for _ in range(5):
        browser.submit("Bestätigen", {CODE: "AAAA-AAAA"})


def test_who_mistypes_the_code_sees_how_many_tries_are_left(landed):
    landed.follow("Code aus der E-Mail eingeben")
    assert "Sie haben 5 Versuche." in landed.text
    for left in ("4 Versuche.", "3 Versuche.", "2 Versuche.", "1 Versuch."):
        landed.submit("Bestätigen", {"Code aus der E-Mail": "ABCD-EFGH"})
        assert f"Sie haben {left}" in landed.text


def test_the_code_stands_beside_the_puzzle_and_needs_none(landed, backend, link):
    tick(landed).follow("Code aus der E-Mail eingeben")
    landed.submit("Bestätigen", {CODE: backend.keys.code(link)})
    assert landed.heading == "Bestätigt"


@pytest.mark.parametrize("how", [str.lower, lambda code: code.replace("-", ""), " {} ".format, " ".join])
def test_the_code_is_understood_as_people_type_it(landed, backend, link, how):
    landed.follow("Code aus der E-Mail eingeben").submit("Bestätigen", {CODE: how(backend.keys.code(link))})
    assert landed.heading == "Bestätigt"


@pytest.mark.parametrize("typed", ["", "AAAA-AAAA", "\0", "ü" * 8, "x" * 10_000, "<b>x</b>"])
def test_a_wrong_code_is_told_and_burns_no_link(landed, backend, link, typed):
    landed.follow("Code aus der E-Mail eingeben").submit("Bestätigen", {CODE: typed})
    assert landed.status == 422
    assert backend.read(link).ended_at is None
    landed.submit("Bestätigen", {CODE: backend.keys.code(link)})
    assert landed.heading == "Bestätigt"


def test_after_five_wrong_codes_one_click_mails_a_fresh_link_and_code(landed, backend, link):
    mistype_five_times(landed)
    assert "Der Code wurde fünfmal falsch eingegeben." in landed.text
    landed.press("Neuen Link an dieselbe Adresse senden")
    assert "Ein neuer Link ist unterwegs an dieselbe Adresse." in landed.text
    fresh = newest(backend)
    landed.open(f"/link/{backend.keys.token(fresh)}").follow("Code aus der E-Mail eingeben")
    landed.submit("Bestätigen", {CODE: backend.keys.code(fresh)})
    assert landed.heading == "Bestätigt"


def test_that_click_from_an_old_page_takes_a_second_one(landed, backend, link):
    mistype_five_times(landed)
    landed.stale().press("Neuen Link an dieselbe Adresse senden")
    assert (landed.status, landed.heading) == (422, "Dieser Code gilt nicht mehr")
    landed.press("Neuen Link an dieselbe Adresse senden")
    assert newest(backend).id != link.id


def test_the_sixth_code_comes_too_late_even_if_it_is_right(landed, backend, link):
    for _ in range(5):
        post(landed, f"/konto-link/{link.id}/code", code="AAAA-AAAA")
    assert post(landed, f"/konto-link/{link.id}/code", code=backend.keys.code(link)).status_code == 422
    assert landed.open(f"/konto-link/{link.id}/konto").heading == "Link zum Konto"


def test_after_five_wrong_codes_the_pictures_still_open_the_link(landed, app, backend, link):
    mistype_five_times(landed)
    landed.follow("Lieber das Bilderrätsel lösen")
    choose(landed, answer_to(app, puzzle_in(landed), link))
    assert landed.heading == "Bestätigt"


def test_the_code_from_an_old_page_stays_and_works_at_the_second_click(landed, backend, link):
    code = backend.keys.code(link)
    landed.follow("Code aus der E-Mail eingeben")
    landed.stale().submit("Bestätigen", {CODE: code})
    assert (landed.status, landed.value(CODE), backend.read(link).code_tries) == (422, code, 0)
    landed.press("Bestätigen")
    assert landed.heading == "Bestätigt"


def test_the_check_is_passed_for_this_browser_only(landed, app, backend, link):
    landed.follow("Code aus der E-Mail eingeben").submit("Bestätigen", {CODE: backend.keys.code(link)})
    other = Browser(app).open(f"/link/{backend.keys.token(link)}")
    assert other.open(f"/konto-link/{link.id}/konto").heading == "Link zum Konto"
