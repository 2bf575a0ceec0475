"""The desk's pages: the search, the one screen for each customer, and the links sent from it."""

import pytest
from sqlalchemy import select

from kmzportal.models.account_link import AccountLink, LinkKind, LinkState
from tests import people
from tests.web.by_hand import token_in as token

pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.with_and_without_htmx]


def test_the_desk_begins_with_the_search(desk):
    assert desk.open("/kundenservice").path == "/kundenservice/kunden"
    assert desk.heading == "Kunden"


def test_a_customer_is_found_and_opened(desk, erika, max_):
    desk.open("/kundenservice/kunden").submit("Suchen", {"Kunden suchen": "muster erika"})
    assert "1 Treffer" in desk.text
    assert desk.follow("Mustermann, Erika").heading == "Erika Mustermann"


def test_hits_tell_two_of_a_name_apart_by_their_schools(desk, backend, erika):
    backend.add(people.person({**people.ERIKA, "number": "K-9", "email": "e@x.example", "school": "Kita Regenbogen"}))
    desk.open("/kundenservice/kunden?suche=erika")
    assert "GMS Musterstadt" in desk.text
    assert "Kita Regenbogen" in desk.text
    assert erika.email not in desk.text


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("mu", "Geben Sie mindestens drei Zeichen ein."),
        ("niemand", "Keine Treffer."),
        ("mustremann", "Genau so heißt niemand. Ähnlich: 1 Treffer."),
    ],
)
def test_the_search_says_what_it_found(desk, erika, query, says):
    desk.open("/kundenservice/kunden").submit("Suchen", {"Kunden suchen": query})
    assert says in desk.text
    assert desk.value("Kunden suchen") == query


def test_the_screen_shows_what_a_clerk_needs(desk, backend, juergen, issue):
    issue(LinkKind.DESK, juergen, juergen.pending_email)
    backend.log_in(juergen.email, "falsches passwort")
    text = desk.open(f"/kundenservice/kunden/{juergen.id}").text
    for there in (
        juergen.number,
        juergen.email,
        juergen.pending_email,
        juergen.school,
        "Anmeldung abgelehnt",
        "gilt bis",
    ):
        assert there in text


def test_while_no_mail_leaves_the_desk_says_so_and_goes_on(backend, erika, screen):
    screen.press("Link senden")
    assert "Der Mailversand ist gerade gestört: Die E-Mail wartet im Postausgang." in screen.text
    assert len(backend.mails("desk_link")) == 1


def test_a_link_is_sent_again_and_withdrawn(backend, erika, screen):
    screen.press("Link senden")
    assert f"Der Link zum Konto ist unterwegs an {erika.email}." in screen.text
    screen.press("Erneut senden")
    assert "Der Link ist noch einmal unterwegs" in screen.text
    screen.press("Zurückziehen")
    assert "zurückgezogen und öffnet nichts mehr" in screen.text
    assert backend.read(select(AccountLink))[0].ended_as == LinkState.WITHDRAWN
    assert len(backend.mails("desk_link")) == 2


def test_a_link_of_somebody_else_is_not_found(desk, backend, erika, max_, issue, screen):
    link = issue(LinkKind.DESK, max_)
    for deed in ("erneut", "zurueckziehen"):
        path = f"/kundenservice/kunden/{erika.id}/links/{link.id}/{deed}"
        assert desk.client.post(path, data={"csrf_token": token(desk)}, base_url=desk.site).status_code == 404
    assert backend.read(link).ended_at is None


@pytest.mark.parametrize("path", ["/9999", "/2147483648", "/0", "/1e3", "/9999/daten", "/9999/vorschau"])
def test_who_does_not_exist_is_not_found(desk, path):
    assert desk.open(f"/kundenservice/kunden{path}").status == 404


def test_the_customers_own_history_names_the_clerks_initials(desk, browser, app, backend, erika, screen):
    screen.press("Link senden")
    fields = {"E-Mail-Adresse": erika.email, "Passwort": people.password_of(erika)}
    browser.press("Abmelden")
    browser.open("/anmelden").submit("Anmelden", fields)
    assert "Link zum Konto gesendet – Anruf" in browser.open("/einstellungen/verlauf").text
    assert "Kundenservice (ro)" in browser.text
