"""The code from the mail passes the robot check without pictures; five wrong ones cost a click, never the account."""

import pytest

from tests.browser import Browser
from tests.web.by_hand import post
from tests.web.links import newest
from tests.web.pictures import answer_to, choose, puzzle_in, tick

pytestmark = pytest.mark.usefixtures("clock")
CODE = "Code aus der E-Mail"


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
