"""At the desk an address is corrected in one act, with hints while one types and a word about all that is missing."""

import pytest
from sqlalchemy import select

from kmzportal.models.account_link import AccountLink, LinkKind
from kmzportal.models.customer import Customer
from tests import people
from tests.browser import parse, words

pytestmark = pytest.mark.usefixtures("clock")
NEW = "erika@neue-schule.example"
CORRECT = "Adresse berichtigen und Link senden"


def test_the_preview_is_what_leaves_but_for_link_and_code(desk, backend, erika, screen):
    shown = screen.text
    screen.check("Rückruf").submit(CORRECT, {"Neue E-Mail-Adresse": NEW})
    link = backend.read(select(AccountLink).where(AccountLink.kind == LinkKind.DESK))[-1]
    assert "/link/••••••••" in shown
    assert "Code aus der E-Mail: ••••-••••" in shown
    assert "Guten Tag Frau Mustermann," in shown
    assert "Bearbeiter: ro" in shown
    for secret in (backend.keys.token(link), backend.keys.code(link), backend.keys.code(link).replace("-", "")):
        assert secret not in screen.open(screen.path).answer.text


def test_one_act_corrects_the_address_and_sends_the_link(backend, erika, screen):
    screen.check("Rückruf").submit(CORRECT, {"Neue E-Mail-Adresse": f" Erika <{NEW}> "})
    assert f"Der Link zum Konto ist unterwegs an {NEW}." in screen.text
    assert backend.read(erika).pending_email == NEW
    assert [mail.recipient for mail in backend.mails()] == [NEW, erika.email]


@pytest.mark.parametrize(
    ("email", "check", "says"),
    [
        (NEW, None, "Wählen Sie aus, wie Sie geprüft haben, wer fragt."),
        ("kein", "Rückruf", "Das ist keine vollständige E-Mail-Adresse."),
        ("", "Rückruf", "Geben Sie die neue E-Mail-Adresse ein."),
        (NEW, "Sonstiges", "Schreiben Sie bei „Sonstiges“ dazu"),
        (people.ERIKA["email"], "Rückruf", "Diese Adresse gilt schon."),
    ],
)
def test_what_is_missing_is_said_at_its_field_and_nothing_is_sent(backend, screen, email, check, says):
    if check:
        screen.check(check)
    screen.submit(CORRECT, {"Neue E-Mail-Adresse": email})
    assert screen.status == 422
    assert says in screen.text
    assert screen.value("Neue E-Mail-Adresse") == email
    assert backend.mails() == []


def test_an_address_of_somebody_else_leads_there(backend, screen, max_):
    screen.check("persönlich").submit(CORRECT, {"Neue E-Mail-Adresse": max_.email})
    assert screen.status == 422
    assert "Diese Adresse gehört schon zu einem anderen Konto" in screen.text
    assert screen.follow(f"Max Mustermann, Kundennummer {max_.number}").heading == "Max Mustermann"


def test_other_checks_are_written_down(backend, erika, screen):
    screen.check("Sonstiges").submit(CORRECT, {"Neue E-Mail-Adresse": NEW, "Anmerkung zur Prüfung": "Dienstausweis"})
    assert "Sonstiges – Dienstausweis" in screen.text


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("erika@gmx.ed", "Meinten Sie erika@gmx.de?"),
        ("erika@web.de", "Eine Adresse bei diesem Anbieter kann jeder anlegen"),
        (people.MAX["email"], "Diese Adresse gehört schon zu einem anderen Konto"),
        (NEW, f"An {NEW}: Ihr Link zum Konto"),
    ],
)
def test_hints_come_while_typing_and_never_block(desk, erika, max_, typed, says):
    answer = desk.client.get(
        f"/kundenservice/kunden/{erika.id}/vorschau", query_string={"email": typed}, base_url=desk.site,
        headers={"HX-Request": "true"},
    )  # fmt: skip
    assert says in words(parse(answer.text))
    assert says in desk.open(f"/kundenservice/kunden/{erika.id}?neue-adresse={typed}").text


def test_a_mistyped_domain_is_sent_to_all_the_same_with_a_word_about_it(backend, screen):
    screen.check("Rückruf").submit(CORRECT, {"Neue E-Mail-Adresse": "erika@gmial.com"})
    assert "Meinten Sie erika@gmail.com?" in screen.text
    assert backend.mails("desk_link")[0].recipient == "erika@gmial.com"


def test_two_at_one_screen_are_told_and_what_was_typed_stays(backend, erika, screen):
    with backend.transaction("console") as tx:
        tx.session.get(Customer, erika.id).phone = "07051 999"
    screen.check("Rückruf").submit(CORRECT, {"Neue E-Mail-Adresse": NEW})
    assert "Jemand anderes hat diese Daten inzwischen geändert" in screen.text
    assert screen.value("Neue E-Mail-Adresse") == NEW
    assert backend.mails() == []
    screen.press(CORRECT)
    assert backend.read(erika).pending_email == NEW
