"""Kein Zugriff mehr: four forms, each with puzzle or code, up to the page with the promised day."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from kmzportal.models import SupportCase
from kmzportal.robot_check.puzzle import ANSWERS
from kmzportal.services import support
from kmzportal.web import robot_check
from kmzportal.web.robot_check import NO_PUZZLE_LEFT, PUZZLES, puzzles
from tests.browser import Browser, by_id
from tests.people import NEW_EMAIL
from tests.states import SUPPORT_FIELDS as FIELDS

pytestmark = pytest.mark.usefixtures("clock")
CHANGED = "/kein-zugriff/adresse-geaendert"
CODE, ENTER_CODE, SEND = "Code aus der E-Mail", "Code aus der E-Mail eingeben", "Bestätigen"
ROBOT = "Ich bin kein Roboter"
ARRIVED = "Ihre Anfrage ist angekommen"
NO_MORE = (
    "Heute können wir an diese Adresse keinen Code mehr senden. Lösen Sie das Bilderrätsel, oder rufen Sie uns an."
)


@pytest.fixture
def cases(backend):
    return lambda: backend.read(select(SupportCase).order_by(SupportCase.id))


@pytest.fixture
def newest_code(backend):
    return lambda: support.code_of(backend.keys, backend.mails("case_code")[-1].message_id)


@pytest.fixture
def form(browser):
    """The form of a changed address, filled in."""
    browser.open(CHANGED)
    for label, text in FIELDS.items():
        browser.fill_in(label, text)
    return browser


def tick(browser):
    browser.check(ROBOT)
    return browser if browser.htmx else browser.press("Weiter")


def puzzle_of(browser):
    return next(one.get("value") for one in browser.page.iter("input") if one.get("name") == "puzzle")


def solve(browser):
    with browser.client.application.app_context():
        token, now = puzzle_of(browser), datetime.now(UTC)
        right = next(one for one in ANSWERS if puzzles().solved_by(token, set(one), "support", now))
    for tile in right:
        browser.check(f"Bild {tile + 1} von 9")
    return browser


def typed(browser):
    return {label: browser.value(label) for label in FIELDS}


@pytest.mark.with_and_without_htmx
def test_the_puzzle_opens_a_case_and_the_last_page_and_the_receipt_name_number_and_day(form, cases, backend):
    tick(form)
    assert (form.path, typed(form), cases()) == (CHANGED, FIELDS, [])
    solve(form).press(SEND)
    (case,) = cases()
    assert (form.path, form.heading) == ("/kein-zugriff/gesendet", ARRIVED)
    assert case.reference in form.text and "Antwort bis Donnerstag, 26. November" in form.text
    assert (case.name, case.school, case.branch, case.channel) == (
        *("Erika Mustermann", "GMS Musterstadt", "address_changed", "form"),
    )
    assert (case.email, case.new_email, case.old_email) == (
        *("erika@privat.example", "erika@privat.example", "erika.mustermann@alte-schule.example"),
    )
    assert case.email_proven is False
    (receipt,) = backend.mails("case_receipt")
    assert (receipt.recipient, receipt.case_id, receipt.facts) == (case.email, case.id, {})
    assert ARRIVED in form.open("/kein-zugriff/gesendet").text, "also after a reload"


@pytest.mark.with_and_without_htmx
def test_the_code_opens_a_case_whose_mailbox_is_proven(form, cases, backend, newest_code):
    form.press(ENTER_CODE)
    assert (typed(form), cases()) == (FIELDS, [])
    assert [mail.recipient for mail in backend.mails()] == [FIELDS["Neue E-Mail-Adresse"]]
    form.press(SEND)
    assert (form.status, "Geben Sie den Code aus der E-Mail ein." in form.text) == (422, True)
    form.submit(SEND, {CODE: "AAAA-AAAA"})
    assert (form.status, typed(form), cases()) == (422, FIELDS, [])
    form.submit(SEND, {CODE: f" {newest_code().lower().replace('-', ' ')}"})
    assert (form.heading, [case.email_proven for case in cases()]) == (ARRIVED, [True])


@pytest.mark.parametrize(
    ("path", "branch", "fields"),
    [
        ("keine-mail", "no_mail", {"Bisherige E-Mail-Adresse": "alt@schule.example", "E-Mail-Adresse": NEW_EMAIL}),
        ("adresse-unbekannt", "address_unknown", {"E-Mail-Adresse": NEW_EMAIL}),
        ("anderes", "other", {"E-Mail-Adresse": NEW_EMAIL, "Nachricht": "Zeile 1\nZeile 2 \0\u202e ok"}),
    ],
)
def test_each_branch_asks_what_the_desk_needs(browser, cases, backend, path, branch, fields):
    fields = {"Vorname": "Erika", "Nachname": "Mustermann", "Schule": "GMS", **fields}
    tick(browser.open(f"/kein-zugriff/{path}"))
    for label in fields:
        assert browser.page.xpath(f"//a[starts-with(@href, '#')][@href='#{by_label(browser, label)}']"), label
    for label, text in fields.items():
        browser.fill_in(label, text)
    solve(tick(browser)).press(SEND)
    (case,) = cases()
    assert (case.branch, case.email, case.new_email) == (branch, NEW_EMAIL, "")
    with backend.transaction() as tx:
        text = tx.session.get(SupportCase, case.id).entries[0].text
    assert text == ("Zeile 1\nZeile 2  ok" if branch == "other" else "")


def test_a_missing_address_is_named_like_its_field(browser):
    browser.open(CHANGED).press(ENTER_CODE)
    for address in ("bisherige", "neue"):
        assert f"Geben Sie Ihre {address} E-Mail-Adresse ein." in browser.text


def by_label(browser, label):
    return next(one.get("for") for one in browser.page.iter("label") if one.text == label)


@pytest.mark.with_and_without_htmx
def test_wrong_pictures_bring_a_new_puzzle_and_field_errors_keep_it_with_its_answer(form, cases):
    before = puzzle_of(tick(form))
    form.press(SEND)
    assert (form.status, typed(form), puzzle_of(form) != before) == (422, FIELDS, True)
    before = puzzle_of(solve(form))
    form.submit(SEND, {"Neue E-Mail-Adresse": "kein"})
    assert (form.status, form.value("Neue E-Mail-Adresse"), puzzle_of(form)) == (422, "kein", before)
    form.stale().submit(SEND, {"Neue E-Mail-Adresse": NEW_EMAIL})
    assert (form.status, puzzle_of(form), cases()) == (422, before, [])
    assert (form.press(SEND).heading, len(cases())) == (ARRIVED, 1)


@pytest.mark.with_and_without_htmx
def test_after_five_wrong_puzzles_only_the_code_opens_a_case(form, cases, newest_code):
    tick(form)
    before, sent = form.cookie, dict(form.page.forms[0].form_values())
    for _ in range(PUZZLES):
        form.press(SEND)
    assert (form.status, NO_PUZZLE_LEFT in form.text, typed(form)) == (422, True, FIELDS)
    form.cookie = before  # of an earlier answer
    assert 'name="tiles"' not in form.post(CHANGED, step="puzzle", **sent).text
    assert form.press(ENTER_CODE).submit(SEND, {CODE: newest_code()}).heading == ARRIVED
    assert len(cases()) == 1


def test_a_new_puzzle_on_request_and_a_used_or_expired_one_is_refused(form, cases, clock):
    before = puzzle_of(tick(form))
    assert puzzle_of(form.press("Neues Rätsel")) != before
    solve(form)
    clock.shift(timedelta(minutes=15))
    assert (form.press(SEND).status, cases()) == (422, [])
    page, token = solve(form).page, puzzle_of(form)
    form.press(SEND)
    form.page = page
    form.fill_in("Nachricht", "anders").press(SEND)
    assert (form.status, form.value("Nachricht"), puzzle_of(form) != token, len(cases())) == (422, "anders", True, 1)


@pytest.mark.parametrize("by", ["puzzle", "code"])
def test_a_form_sent_twice_opens_one_case(form, cases, backend, newest_code, by):
    if by == "puzzle":
        solve(tick(form))
    else:
        form.press(ENTER_CODE).fill_in(CODE, newest_code())
    page, typed_before = form.page, dict(form.typed)
    form.press(SEND)
    form.page, form.typed, form.path = page, typed_before, CHANGED
    assert form.press(SEND).heading == ARRIVED
    (case,) = cases()
    assert case.reference in form.text and len(backend.mails("case_receipt")) == 1


def test_a_code_counts_only_for_the_address_it_was_mailed_to(form, cases, newest_code):
    form.press(ENTER_CODE).submit(SEND, {"Neue E-Mail-Adresse": "opfer@schule.example", CODE: newest_code()})
    assert (form.status, "Dieser Code stimmt nicht." in form.text, cases()) == (422, True, [])


def test_the_same_answer_for_known_and_unknown_addresses_when_no_code_is_left(app, erika, backend):
    def answers(address):
        browser = Browser(app).open(CHANGED).submit(ENTER_CODE, FIELDS | {"Neue E-Mail-Adresse": address})
        for _ in range(2):
            browser.press("Neuen Code senden")
        assert (browser.status, NO_MORE in browser.text) == (422, True)
        other = Browser(app).open(CHANGED).submit(ENTER_CODE, FIELDS | {"Neue E-Mail-Adresse": address})
        assert (other.status, NO_MORE in other.text, ROBOT in other.text) == (422, True, True)
        return browser.text.replace(address, ""), other.text

    assert answers(erika.email) == answers("unbekannt@schule.example")
    assert len(backend.mails("case_code")) == 4


def test_switching_to_the_puzzle_and_back_mails_no_second_code(form, backend):
    form.press(ENTER_CODE).press("Lieber das Bilderrätsel lösen").press(ENTER_CODE)
    assert len(backend.mails("case_code")) == 1


@pytest.mark.with_and_without_htmx
@pytest.mark.parametrize(
    ("by", "limit"),
    [
        ("puzzle", {"CASES_PER_HOUR": 1}),
        ("code", {"CASES_PER_HOUR": 1}),
        ("code", {"CASES_PER_SOURCE": 0}),
        ("puzzle", {"CASES_PER_SOURCE": 0}),
    ],
)
def test_over_the_limit_of_the_source_or_in_all_the_page_says_so_and_all_input_is_kept(
    form, app, monkeypatch, cases, backend, newest_code, by, limit
):
    """So does it over the limit of answered puzzles of a source: the answer was not compared."""
    backend.run(support.ensure_within_limits, source="198.51.100.1")
    if by == "puzzle":
        solve(tick(form))
    else:
        form.press(ENTER_CODE).fill_in(CODE, newest_code())
    puzzle = by == "puzzle" and puzzle_of(form)
    with monkeypatch.context() as full:
        for setting, number in limit.items():
            full.setitem(app.config, setting, number)
        form.press(SEND)
    assert (form.status, typed(form), cases()) == (422, FIELDS, [])
    assert "Ihre konnten wir nicht annehmen" in form.text and app.config["OFFICE_PHONE"] in form.text
    assert "Das stimmt leider nicht" not in form.text and "Dieser Code stimmt nicht" not in form.text
    assert by == "code" or puzzle_of(form) == puzzle
    assert (form.press(SEND).heading, len(cases())) == (ARRIVED, 1), "the same answer counts later"


@pytest.mark.parametrize("field", ["Vorname", "Nachname", "Schule", "Nachricht", "Neue E-Mail-Adresse"])
def test_text_over_the_limit_stays_in_the_form_and_the_error_names_the_limit(form, cases, field):
    form.submit("Weiter", {field: "x" * 2001})
    error = by_id(form.page, f"{by_label(form, field)}-error")
    assert form.status == 422 and "bis zu" in error.text_content()
    assert (form.value(field), cases()) == ("x" * 2001, [])


@pytest.mark.parametrize("sent", ["", "x", "\0", "<x@kmz.example>", "ü" * 1000])
def test_a_forged_puzzle_or_code_mail_is_a_wrong_answer(form, cases, sent):
    names = ("first_name", "last_name", "school", "old_email", "email")
    fields = dict(zip(names, FIELDS.values(), strict=False))
    for step in ("solve", "enter"):
        answer = form.post(CHANGED, step=step, sent=sent, puzzle=sent, code="AAAA-AAAA", tiles="1", **fields)
        assert (answer.status_code, cases()) == (422, [])


def test_the_picture_is_drawn_for_a_genuine_token_only(form):
    tick(form)
    (source,) = [one.get("src") for one in form.page.iter("img")]
    assert form.open(source).answer.mimetype.startswith("image/")
    assert form.open("/kein-zugriff/bild/x").status == 404
    assert form.open("/kein-zugriff/sonstwas").status == 404


def test_a_picture_that_cannot_be_drawn_in_time_gets_503_and_is_drawn_only_once(form, monkeypatch):
    tick(form)
    (source,) = [one.get("src") for one in form.page.iter("img")]
    monkeypatch.setattr(robot_check._drawing, "each", 0)
    form.open(source)
    assert (form.status, form.answer.headers["Retry-After"]) == (503, "5")
    monkeypatch.undo()
    picture = form.open(source).answer
    assert picture.mimetype.startswith("image/")
    monkeypatch.setattr(robot_check._drawing, "each", 0)
    assert form.open(source).answer.data == picture.data


def test_the_page_is_linked_from_where_people_are_stuck(browser, mailed, issue, erika, backend):
    label = "Kommen Sie nicht mehr an Ihr E-Mail-Postfach?"
    link = issue("desk", erika)
    backend.update(link, ended_at=link.issued_at, ended_as="withdrawn")
    browser.open("/passwort-vergessen").submit("Link anfordern", {"E-Mail-Adresse": erika.email})
    for path in ("/anmelden", "/passwort-vergessen", "/passwort-vergessen/gesendet", mailed(link), "/link/x"):
        assert browser.open(path).follow(label).heading == "Kein Zugriff mehr", path
    assert "/kein-zugriff" in [one.get("href") for one in browser.open("/hilfe").page.iter("a")]
