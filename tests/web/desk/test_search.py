"""The search in the header of every page of the desk, its hits, the lists, and what the navigation counts."""

from datetime import timedelta

import pytest

from kmzportal.models import LinkKind, MailState
from kmzportal.services import sessions, support
from tests import people
from tests.browser import Browser, by_id, words
from tests.people import NOW

pytestmark = pytest.mark.usefixtures("clock")
FIELD = "Name, Adresse, Nummer, Telefon oder Vorgangsnummer"
PAGES = ("anfragen", "postausgang", "protokoll", "bericht", "mitarbeitende", "diagnose", "kunden/neu", "kunden/1")


def nav(desk):
    return next(one for one in desk.page.iter("nav") if one.get("aria-label") == "Kundenservice")


@pytest.mark.parametrize("page", PAGES)
def test_every_page_of_the_desk_has_the_search_and_names_who_is_logged_in(desk, erika, page):
    desk.open(f"/kundenservice/{page}").submit("Im Kundenservice suchen", {FIELD: "erika"})
    assert (desk.path, desk.value("Kunden suchen")) == ("/kundenservice/kunden", "erika")
    assert "Mustermann, Erika" in desk.text and "Angemeldet: Rosa Otto (ro)" in desk.text


def test_the_search_keeps_the_case_that_the_clerk_works_on(desk, backend, erika, max_):
    case = backend.run(lambda tx: support.open_case(tx, "other", "form", "x@y.example", "Hallo"))
    desk.open(f"/kundenservice/kunden/{erika.id}?anfrage={case.id}").submit("Im Kundenservice suchen", {FIELD: "max"})
    assert f"Anfrage {case.reference}" in desk.follow("Mustermann, Max").text


@pytest.mark.parametrize("query", ["juergen gross", "K-1004", "juergen.gross@bw-schule", "bw-schule"])
def test_a_hit_shows_the_address_and_a_pending_one(desk, backend, juergen, query):
    backend.update(juergen, pending_email="juergen.gross@bw-schule.example")
    desk.open(f"/kundenservice/kunden?suche={query}")
    assert juergen.email in desk.text and "wartet: juergen.gross@bw-schule.example" in desk.text


def test_a_hit_shows_the_last_login_or_that_there_was_none(desk, backend, erika, anneliese, lieselotte):
    shown = {}
    backend.log_in(erika.email, people.password_of(erika))
    for name in ("mustermann", "müller", "schäfer"):
        desk.open(f"/kundenservice/kunden?suche={name}")
        shown[name] = words(next(row for body in desk.page.iter("tbody") for row in body.iter("tr")))
    assert shown["mustermann"].endswith("14:05") and shown["müller"].endswith("nie aktiviert")
    assert shown["schäfer"].endswith("keine bekannt") and "gesperrt" in shown["schäfer"]


def test_a_vorgangsnummer_leads_to_the_case_and_to_its_customer(desk, backend, erika):
    case = backend.run(lambda tx, one: support.open_case(tx, "other", "form", "x@y.example", "?", customer=one), erika)
    desk.open("/kundenservice/postausgang").submit("Im Kundenservice suchen", {FIELD: case.reference[2:].lower()})
    assert desk.follow("Mustermann, Erika").heading == "Erika Mustermann"
    desk.open(f"/kundenservice/kunden?suche={case.reference}").follow(f"Anfrage {case.reference}")
    assert desk.heading == f"Anfrage {case.reference}"


def test_lists_show_their_number_and_their_customers(desk, erika, anneliese, lieselotte):
    desk.open("/kundenservice/kunden")
    assert "Gesperrt: 1 Adresse unerreichbar: 0 Nie aktiviert: 1 Link seit Tagen offen: 0" in desk.text
    desk.follow("Nie aktiviert")
    assert desk.heading == "Nie aktiviert" and anneliese.email in desk.text and erika.email not in desk.text
    assert desk.follow(anneliese.name).heading == anneliese.name
    assert desk.open("/kundenservice/kunden/liste/gibt-es-nicht").status == 404


def test_a_list_goes_on_after_its_first_page_only_with_the_second_factor(desk, erika, juergen, anneliese, factor):
    """With a stolen cookie nobody copies all customers."""
    path = f"/kundenservice/kunden/liste/nie-aktiviert?vor={erika.id}"
    assert desk.open(path).heading == "Bitte bestätigen" and anneliese.email not in desk.answer.text
    desk.submit("Weiter", {"Code aus der App": factor.recovery_codes[0]})
    assert desk.heading == "Nie aktiviert" and desk.answer.request.query_string.decode() == f"vor={erika.id}"


def test_a_list_continues_after_a_link_with_its_long_id(desk, backend, erika, juergen, rosa, issue, clock, prove):
    links = [issue(LinkKind.DESK, one) for one in (erika, juergen)]
    clock.shift(timedelta(days=1, minutes=1))
    desk.come_in(backend.run(sessions.start_session, rosa, "Firefox").token)
    prove()
    desk.open(f"/kundenservice/kunden/liste/link-offen?vor={links[0].id}")
    assert juergen.email in desk.text and erika.email not in desk.text
    assert "Was zuerst abläuft, steht oben." in desk.text and "Am längsten her" not in desk.text


def test_the_navigation_counts_mails_that_were_not_delivered_lately(desk, backend, erika, max_, rosa, clock):
    assert "Postausgang Protokoll" in words(nav(desk.open("/kundenservice/anfragen")))
    for customer, state in ((erika, MailState.REFUSED), (max_, MailState.BOUNCED), (max_, MailState.SENT)):
        mail = backend.run(lambda tx, one: tx.send("password_changed", one), customer)
        backend.update(mail, state=state)
    assert "Postausgang (2 nicht zugestellt)" in words(nav(desk.open("/kundenservice/anfragen")))
    clock.shift(timedelta(days=6))
    desk.come_in(backend.run(sessions.start_session, rosa, "Firefox").token)
    assert "nicht zugestellt" not in words(nav(desk.open("/kundenservice/anfragen")))


@pytest.mark.parametrize("page", ["kunden", "kunden/1", "kunden/1/daten", "kunden/liste/gesperrt"])
def test_pages_of_customers_belong_to_kunden(desk, erika, page):
    desk.open(f"/kundenservice/{page}")
    assert [words(one) for one in nav(desk).iter("a") if one.get("aria-current")] == ["Kunden"]


def test_the_header_names_the_service_and_leads_to_the_help(app, desk, erika):
    desk.open(f"/kundenservice/kunden/{erika.id}")
    assert words(next(desk.page.iter("header"))).startswith("Kreismedienzentrum Calw Kundenservice")
    assert by_id(desk.page, "correct-title") is not None and desk.follow("Zur Antwort").heading == erika.name
    browser = Browser(app).open("/anmelden")
    header = next(browser.page.iter("header"))
    assert words(header) == "Kreismedienzentrum Calw Kundenkonto Hilfe"
    assert [one.get("href") for one in header.iter("a")][1:] == ["/hilfe"]
    assert (
        browser.log_in(erika)
        .open("/einstellungen")
        .text.startswith("Zum Inhalt springen Kreismedienzentrum Calw Kundenkonto")
    )


def test_the_protokoll_says_that_older_events_follow_and_how_an_empty_day_counts(desk, backend, erika):
    def record(tx, one):
        for _ in range(51):
            tx.record("logout", one)

    backend.run(record, erika)
    desk.open("/kundenservice/protokoll")
    assert "Die neuesten 50 Einträge" in desk.text and "Betrifft" in desk.text
    assert "Leer: von Anfang an." in desk.text and "Leer: bis heute." in desk.text


def test_addresses_break_after_the_at_sign_and_dots_only(desk, erika):
    desk.open("/kundenservice/kunden?suche=erika")
    broken = 'erika.<wbr>mustermann@<wbr><span class="kmz-whole">gms-musterstadt.</span><wbr>example'
    assert broken in desk.answer.text and erika.email in desk.text
    desk.open(f"/kundenservice/kunden/{erika.id}")
    for before in ("Bisher: ", "An "):
        assert f"{before}{broken}" in desk.answer.text and f"{before}{erika.email}" in desk.text


def test_a_mail_has_its_state_with_icon_and_colour(desk, backend, erika):
    mail = backend.run(lambda tx, one: tx.send("password_changed", one), erika)
    backend.update(mail, state=MailState.REFUSED, reason="Adresse unbekannt", settled_at=NOW)
    for path in ("/kundenservice/postausgang", f"/kundenservice/kunden/{erika.id}"):
        desk.open(path)
        [state] = [one for one in desk.page.iter("span") if "kern-badge--danger" in (one.get("class") or "")]
        assert words(state) == "abgelehnt: Adresse unbekannt"
        assert "kern-icon--danger" in state[0].get("class")
