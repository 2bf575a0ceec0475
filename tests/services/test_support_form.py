"""Written requests by form: the promised day, receipts and codes with their budget, and the limits."""

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select

from kmzportal.models import CaseEntry, CaseState, RequestCount, SupportCase
from kmzportal.services import sessions, support
from tests.people import NEW_EMAIL

pytestmark = pytest.mark.usefixtures("clock")
FIELDS = {"name": "Erika Mustermann", "school": "GMS"}


@pytest.fixture
def send_form(backend):
    """Send the form with a right answer, by code unless `proven` is false; returns the Promise."""

    def send_form(proof="proof", right=True, text="Hilfe", email=NEW_EMAIL, source="192.0.2.7"):
        given = (proof, right, "other", email, text, True, FIELDS)
        return backend.run(support.open_by_form, *given, source=source)

    return send_form


@pytest.fixture
def send_code(backend):
    def send_code(email=NEW_EMAIL, earlier="", source=None):
        return backend.run(support.send_code, email, earlier, source=source)

    return send_code


@pytest.fixture
def check_code(backend):
    return lambda sent, typed, email=NEW_EMAIL: backend.run(support.check_code, sent, email, typed)


def test_a_case_is_opened_with_its_text_and_a_receipt_that_quotes_nothing(backend, send_form):
    promise = send_form()
    (case,), (entry,), (mail,) = backend.read(select(SupportCase)), backend.read(select(CaseEntry)), backend.mails()
    assert (case.reference, case.promised_on) == promise
    assert (case.state, case.email, case.email_proven, case.name) == (CaseState.OPEN, NEW_EMAIL, True, FIELDS["name"])
    assert (entry.kind, entry.text, entry.author) == ("received", "Hilfe", NEW_EMAIL)
    assert (mail.template, mail.recipient, mail.facts, mail.case_id) == ("case_receipt", NEW_EMAIL, {}, case.id)
    assert backend.actions() == ["case.opened"]


@pytest.mark.parametrize(
    ("received", "closed", "promised"),
    [
        ("2026-11-27T12:00", [], "2026-12-02"),  # Friday
        ("2026-11-28T12:00", [], "2026-12-02"),  # Saturday
        ("2026-11-26T22:59", [], "2026-12-01"),  # Thursday, still in Berlin
        ("2026-11-26T23:00", [], "2026-12-02"),  # Friday in Berlin
        ("2026-11-27T12:00", [date(2026, 12, 1)], "2026-12-03"),
        ("2026-12-23T12:00", [], "2026-12-29"),  # 25 and 26 December
        ("2027-01-05T12:00", [], "2027-01-11"),  # Epiphany, a holiday of Baden-Württemberg
    ],
)
def test_the_promised_day_is_three_working_days_after_the_day_of_receipt(received, closed, promised):
    settings = {"ANSWER_WITHIN": 3, "CLOSING_DAYS": closed}
    day = support.promised_day(datetime.fromisoformat(received).replace(tzinfo=UTC), settings)
    assert day.isoformat() == promised


def test_receipts_and_codes_share_a_budget_an_address_and_in_all(app, backend, send_form, send_code, monkeypatch):
    assert [bool(send_code()), send_form("1", source=None).reference != "", bool(send_code())] == [True, True, False]
    send_form("2", source=None)
    assert [mail.template for mail in backend.mails()] == ["case_code", "case_receipt"]
    assert len(backend.read(select(SupportCase))) == 2, "the case counts without its receipt"
    monkeypatch.setitem(app.config, "RECEIPTS_PER_DAY", 3)
    sent = [bool(send_code(f"{number}@schule.example", source="192.0.2.1")) for number in range(2)]
    assert sent == [True, False]


def test_the_budget_is_that_of_the_last_24_hours(send_code, clock):
    assert [bool(send_code()) for _ in range(3)] == [True, True, False]
    clock.shift(timedelta(days=1))
    assert send_code()


def test_a_code_proves_its_address_for_an_hour(backend, send_code, check_code, clock):
    sent = send_code()
    code = support.code_of(backend.keys, sent)
    assert not check_code(sent, code, "jemand@anders.example")
    assert not check_code("<x@y.example>", code)
    assert check_code(sent, code.lower().replace("-", " "))
    clock.shift(timedelta(hours=1))
    assert not check_code(sent, code)


def test_neither_a_right_code_nor_what_is_no_code_costs_a_try(backend, send_code, check_code):
    sent = send_code()
    for _ in range(6):
        assert not check_code(sent, "falsch")
        assert check_code(sent, support.code_of(backend.keys, sent))


def test_five_wrong_tries_end_a_code(backend, send_code, check_code):
    sent = send_code()
    assert not any(check_code(sent, "AAAA-AAAA") for _ in range(5))
    assert not check_code(sent, support.code_of(backend.keys, sent))


def test_an_earlier_code_is_kept_while_it_is_valid_for_the_address(send_code, clock):
    first = send_code()
    assert send_code(earlier=first) == first
    assert send_code("andere@schule.example", first) != first
    clock.shift(timedelta(hours=1))
    assert send_code(earlier=first) not in (first, None)


def test_the_same_form_sent_twice_with_one_proof_is_one_case(backend, send_form):
    first = send_form()
    assert send_form() == send_form(right=False) == first
    assert send_form(right=False, text="anders") is None and send_form("other proof", right=False) is None
    assert send_form(text="anders") != first
    assert len(backend.read(select(SupportCase))) == 2


def test_a_form_sent_four_times_at_once_counts_each_time(backend):
    within = backend.run_concurrently(4, support.ensure_within_limits)
    (count,) = backend.read(select(RequestCount))
    assert (within, count.number) == ([None] * 4, 4)


def test_over_the_limit_of_a_source_nothing_is_stored_and_it_is_told(app, backend, send_form, monkeypatch, clock):
    monkeypatch.setitem(app.config, "CASES_PER_SOURCE", 2)
    for number in range(2):
        send_form(str(number))
    with pytest.raises(support.TooManyRequests):
        send_form("third")
    assert (len(backend.read(select(SupportCase))), len(backend.mails())) == (2, 2)
    clock.shift(timedelta(hours=1))
    send_form("later", email="andere@schule.example")
    assert len(backend.read(select(SupportCase))) == 3


def test_a_source_uses_up_neither_the_receipts_in_all_nor_those_of_an_address(
    app, backend, send_form, send_code, monkeypatch
):
    monkeypatch.setitem(app.config, "RECEIPTS_PER_SOURCE", 3)
    monkeypatch.setitem(app.config, "RECEIPTS_PER_DAY", 4)
    stranger, other = "203.0.113.5", "192.0.2.1"
    assert [bool(send_code(source=stranger)) for _ in range(3)] == [True, True, False]
    assert [bool(send_code(f"{number}@web.example", source=stranger)) for number in range(3)] == [True, False, False]
    assert send_code(source=other), "the stranger did not use up hers"
    assert send_form(source=other).reference, "a request counts without its receipt, for which there is no place today"
    assert [mail.template for mail in backend.mails()] == ["case_code"] * 4


def test_an_address_gets_six_receipts_a_day_however_many_sources_ask(send_code):
    sent = [bool(send_code(source=f"203.0.113.{number}")) for number in range(8)]
    assert sent == [True] * 6 + [False] * 2


def test_forged_mails_use_up_half_of_the_receipts(app, backend, send_code, monkeypatch):
    monkeypatch.setitem(app.config, "RECEIPTS_PER_DAY", 4)
    receipts = [backend.run(support.send_to_stranger, "case_receipt", f"{number}@web.example") for number in range(4)]
    assert [bool(one) for one in receipts] == [True, True, False, False]
    assert send_code(source="192.0.2.1")


def test_one_source_does_not_use_up_the_limit_in_all_and_over_that_nothing_is_promised(
    app, backend, send_form, send_code, monkeypatch
):
    monkeypatch.setitem(app.config, "CASES_PER_SOURCE", 1)
    monkeypatch.setitem(app.config, "CASES_PER_HOUR", 2)
    for number in range(4):
        with suppress(support.TooManyRequests):
            send_form(str(number), source="203.0.113.5")
        with suppress(support.TooManyRequests):
            send_code(f"{number}@web.example", source="203.0.113.5")
    assert send_form("other", source="192.0.2.1") and send_code("a@schule.example", source="192.0.2.1")
    for refused in (
        lambda: send_form("third", source="192.0.2.2"),
        lambda: send_code("b@schule.example", source="192.0.2.2"),
    ):
        with pytest.raises(support.TooManyRequests):
            refused()
    assert len(backend.read(select(SupportCase))) == 2
    rows = {count.counted: count.number for count in backend.read(select(RequestCount))}
    assert (rows["case"], rows["code"]) == (2, 2)


def test_the_number_of_codes_from_one_source_is_limited(app, send_code, monkeypatch):
    monkeypatch.setitem(app.config, "CASES_PER_SOURCE", 2)
    assert all(send_code(f"{number}@schule.example", source="192.0.2.7") for number in range(2))
    with pytest.raises(support.TooManyRequests):
        send_code("third@schule.example", source="192.0.2.7")
    assert send_code(source="203.0.113.9")


def test_many_sources_shut_the_form_neither_for_known_sources_nor_for_known_devices(app, backend, erika, monkeypatch):
    monkeypatch.setitem(app.config, "CASES_PER_SOURCE", 2)
    monkeypatch.setitem(app.config, "CASES_PER_HOUR", 3)
    new = backend.run(sessions.start, erika, "Firefox", source="198.51.100.7")
    other = backend.run(sessions.start, erika, "Firefox", source="198.51.100.7")  # without its cookie
    for number in range(3):
        backend.run(support.ensure_within_limits, source=f"203.0.113.{number}")

    def admitted(source, device_token=""):
        with suppress(support.TooManyRequests):
            backend.run(support.ensure_within_limits, source=source, device_token=device_token)
            return True

    assert not admitted("203.0.113.9") and not admitted("203.0.113.9", "x" * 43)
    assert admitted("198.51.100.7")
    tokens = (new.device_token, other.device_token) * 2
    tries = [admitted(f"192.0.2.{number}", token) for number, token in enumerate(tokens)]
    assert tries == [True, True, None, None], "an account can make any number of devices"


def test_many_sources_leave_receipts_and_codes_to_known_sources_and_devices(app, backend, erika, monkeypatch):
    monkeypatch.setitem(app.config, "RECEIPTS_PER_SOURCE", 2)
    monkeypatch.setitem(app.config, "RECEIPTS_PER_DAY", 3)
    known = backend.run(sessions.start, erika, "Firefox", source="198.51.100.7").device_token

    def sends(number, source, device_token=""):
        address = f"{number}@schule.example"
        return bool(backend.run(support.send_code, address, source=source, device_token=device_token))

    assert [sends(number, f"2001:db8:0:{number}::/64") for number in range(4)] == [True, True, True, False]
    assert [sends(number, "198.51.100.7") for number in (5, 6, 7)] == [True, True, False], "the share of a source"
    assert [sends(number, f"192.0.2.{number}", known) for number in (8, 9)] == [True, False], "they have a bound in all"
