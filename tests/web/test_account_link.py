"""From the mail to Fertig: the hand-out's steps, in its words, and what can go wrong in their forms."""

import re

import pytest

from kmzportal.models.account_link import LinkKind, LinkState
from kmzportal.models.customer import Customer
from tests import people
from tests.people import NEW
from tests.web.links import pass_the_robot_check

pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.with_and_without_htmx]


def test_the_hand_outs_seven_steps_in_its_own_words(browser, backend, juergen, issue, mailed):
    link = issue(LinkKind.DESK, juergen, juergen.pending_email)
    browser.open(mailed(link))
    assert browser.value("Ich bin kein Roboter") == ""
    browser.check("Ich bin kein Roboter")
    if not browser.htmx:
        browser.press("Weiter")
    assert "Wählen Sie alle Bilder mit " in browser.text
    browser.follow("Code aus der E-Mail eingeben")
    browser.submit("Bestätigen", {"Code aus der E-Mail": backend.keys.code(link)})
    browser.follow("Konto bearbeiten")
    assert browser.value("Nachname") == "Groß"
    browser.submit("Registrieren", {"Telefon": "07051 4711", **NEW})
    assert browser.heading == "Fertig"
    browser.follow("Zur Anmeldung")
    assert browser.value("E-Mail-Adresse") == juergen.pending_email
    browser.submit("Anmelden", {"Passwort": people.NEW_PASSWORD})
    assert browser.heading == "Einstellungen"
    assert backend.read(juergen).phone == "07051 4711"


def test_the_office_can_stop_a_link_by_locking_the_account(browser, backend, erika, issue, mailed):
    browser.open(mailed(issue(LinkKind.RECOVERY, erika)))
    with backend.transaction("clerk:1") as tx:
        tx.session.get(Customer, erika.id).locked_at = tx.now
    browser.submit("Passwort speichern", NEW)
    assert browser.status == 403
    assert "Ihr Konto ist gesperrt" in browser.text
    assert backend.read(erika).password_hash == erika.password_hash


@pytest.mark.parametrize(
    ("new", "repeat", "said"),
    [
        ("", "", "Geben Sie ein neues Passwort ein."),
        ("kurz", "kurz", "Das Passwort ist zu kurz."),
        ("kanarienvogel 4711", "kanarienvogel 4712", "Die beiden Passwörter sind nicht gleich."),
        ("Erika Mustermann", "Erika Mustermann", "Das Passwort besteht fast nur aus"),
        ("passwortpasswort", "passwortpasswort", "Nehmen Sie"),
        ("x" * 257, "x" * 257, "Ein Passwort hat höchstens 256 Zeichen."),
    ],
)
def test_a_password_that_does_not_suit_is_never_shown(browser, backend, erika, issue, mailed, new, repeat, said):
    link = issue(LinkKind.RECOVERY, erika)
    browser.open(mailed(link)).submit("Passwort speichern", {"Passwort": new, "Wdh. Passwort": repeat})
    assert browser.status == 422
    assert said in browser.text
    assert (browser.value("Passwort"), browser.value("Wdh. Passwort")) == ("", "")
    assert "kanarienvogel" not in browser.answer.text
    assert backend.read(link).ended_at is None


def test_a_mistake_in_the_passwords_loses_none_of_the_data(browser, backend, erika, issue, mailed):
    link = issue(LinkKind.DESK, erika)
    pass_the_robot_check(browser.open(mailed(link)), backend, link).follow("Konto bearbeiten")
    browser.submit(
        "Registrieren", {"Schule": "GMS Neustadt", "Passwort": people.NEW_PASSWORD, "Wdh. Passwort": "anders"}
    )
    assert browser.status == 422
    assert browser.value("Schule") == "GMS Neustadt"
    browser.submit("Registrieren", NEW)
    assert backend.read(erika).school == "GMS Neustadt"


@pytest.mark.parametrize("kind", [LinkKind.RECOVERY, LinkKind.DESK, LinkKind.ADDRESS, LinkKind.OBJECTION])
def test_every_step_from_an_old_page_works_at_the_second_click(browser, backend, juergen, issue, mailed, kind):
    link = issue(kind, juergen, juergen.pending_email)
    browser.open(mailed(link))
    if kind is LinkKind.DESK:
        pass_the_robot_check(browser, backend, link).follow("Konto bearbeiten").fill_in("Telefon", "07051 4711")
    button, fields = {
        LinkKind.RECOVERY: ("Passwort speichern", NEW),
        LinkKind.DESK: ("Registrieren", NEW),
        LinkKind.ADDRESS: ("Bestätigen", {}),
        LinkKind.OBJECTION: ("Das war ich nicht – Konto sperren", {}),
    }[kind]
    browser.stale().submit(button, fields)
    assert browser.status == 422
    assert "Senden Sie das Formular bitte noch einmal ab." in browser.text
    assert people.NEW_PASSWORD not in browser.answer.text
    assert backend.read(link).ended_at is None
    assert kind is not LinkKind.DESK or browser.value("Telefon") == "07051 4711"
    browser.submit(button, fields)
    assert backend.read(link).ended_as == LinkState.REDEEMED


def test_number_and_address_are_shown_and_cannot_be_changed_over_a_link(browser, backend, erika, max_, issue, mailed):
    link = issue(LinkKind.DESK, erika)
    pass_the_robot_check(browser.open(mailed(link)), backend, link).follow("Konto bearbeiten")
    assert erika.number in browser.text
    assert erika.email in browser.text
    token = next(one.get("value") for one in browser.page.iter("input") if one.get("name") == "csrf_token")
    smuggled = {
        "number": "K-0000", "email": "dieb@evil.example", "email_canonical": "dieb@evil.example", "id": str(max_.id),
        "customer_id": str(max_.id), "link_id": "1", "locked_at": "", "password_hash": "x",
        "pending_email": "dieb@evil.example", "imported": "{}", "kind": "address",
    }  # fmt: skip
    data = {
        "csrf_token": token,
        "last_name": "Neu",
        "new": people.NEW_PASSWORD,
        "repeat": people.NEW_PASSWORD,
        **smuggled,
    }
    data["version"] = str(erika.version)
    browser.client.post(f"/konto-link/{link.id}/konto", data=data, base_url=browser.site)
    hers, his = backend.read(erika), backend.read(max_)
    assert (hers.last_name, hers.number, hers.email, hers.pending_email) == ("Neu", erika.number, erika.email, None)
    assert (his.last_name, his.password_hash) == (max_.last_name, max_.password_hash)


def test_an_address_that_somebody_else_has_by_now_is_not_taken_away(browser, backend, juergen, erika, issue, mailed):
    link = issue(LinkKind.DESK, juergen, juergen.pending_email)
    pass_the_robot_check(browser.open(mailed(link)), backend, link).follow("Konto bearbeiten")
    with backend.transaction("console") as tx:
        tx.session.get(Customer, erika.id).set_email(juergen.pending_email)
    browser.submit("Registrieren", {"Telefon": "07051 4711", **NEW})
    assert browser.status == 422
    assert "Diese Adresse gehört inzwischen zu einem anderen Konto." in browser.text
    assert browser.value("Telefon") == "07051 4711"
    assert backend.read(link).ended_at is None


def test_the_office_is_linked_from_the_end_and_no_login_elsewhere_is_promised(browser, erika, issue, mailed):
    browser.open(mailed(issue(LinkKind.RECOVERY, erika))).submit("Passwort speichern", NEW)
    assert re.findall(r'href="(https://[^"]+)"', browser.answer.text).count("https://kmz-calw.de") >= 1
