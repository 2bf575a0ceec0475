"""One click in the Postausgang and a mail goes out again; where it cannot, the page says why."""

import pytest
from sqlalchemy import select

from kmzportal.models.account_link import LinkKind, LinkState
from kmzportal.models.audit_event import AuditEvent
from kmzportal.models.outgoing_mail import MailState
from kmzportal.services import links
from tests.answers import TAKEN, UNKNOWN
from tests.web.postausgang import PAGE, row

pytestmark = pytest.mark.usefixtures("clock")


def test_a_refused_mail_goes_out_again_with_one_click(desk, backend, queue, erika, rosa):
    mail = queue(erika, UNKNOWN)
    desk.open(PAGE).press("Erneut senden")
    assert f"Die E-Mail an {erika.email} geht gleich noch einmal hinaus." in desk.text
    assert "wartet" in row(desk)
    assert backend.read(mail).state == MailState.QUEUED
    [event] = backend.read(select(AuditEvent).where(AuditEvent.action == "mail.retried"))
    assert (event.actor, event.details["by"]) == (f"clerk:{rosa.id}", "ro")


def test_the_filter_stays_when_a_mail_was_sent_again(desk, queue, erika, max_):
    queue(erika, UNKNOWN)
    queue(max_, TAKEN)
    desk.open(f"{PAGE}?zustand=abgelehnt")
    assert max_.email not in desk.text
    desk.press("Erneut senden")
    assert "Keine E-Mails" in desk.text
    assert desk.value("Zustand") == "abgelehnt"


def test_a_link_that_died_meanwhile_says_so(desk, backend, queue, erika):
    queue(erika, UNKNOWN)
    desk.open(PAGE)
    backend.run(links.end, erika, LinkState.WITHDRAWN, {LinkKind.DESK})
    desk.press("Erneut senden")
    assert desk.status == 422
    assert "Der Link wurde zurückgezogen. Senden Sie einen neuen." in desk.text
    assert "Erneut senden" not in [one.text for one in desk.page.iter("button")]


def test_all_go_out_with_one_click(desk, backend, queue, erika, max_):
    queue(erika, UNKNOWN)
    queue(max_, UNKNOWN)
    desk.open(PAGE).press("Alle verzögerten und abgelehnten erneut senden")
    assert "2 E-Mails gehen gleich noch einmal hinaus." in desk.text
    desk.press("Alle verzögerten und abgelehnten erneut senden")
    assert "Es gibt nichts erneut zu senden." in desk.text


def test_from_an_old_page_it_takes_a_second_click(desk, backend, queue, erika):
    mail = queue(erika, UNKNOWN)
    desk.open(PAGE)
    for field in desk.page.iter("input"):
        if field.get("name") == "csrf_token":
            field.set("value", "veraltet")
    desk.press("Erneut senden")
    assert desk.status == 422
    assert backend.read(mail).state == MailState.REFUSED
    desk.press("Erneut senden")
    assert backend.read(mail).state == MailState.QUEUED


@pytest.mark.parametrize("number", ["0", "4711", "2147483648", "9" * 30, "-1", "x", "1%00"])
def test_a_mail_and_a_customer_that_are_none_are_not_found(desk, number, erika):
    desk.open(PAGE)
    token = next(one.get("value") for one in desk.page.iter("input") if one.get("name") == "csrf_token")
    answer = desk.client.post(f"{PAGE}/{number}/erneut-senden", data={"csrf_token": token}, base_url=desk.site)
    assert answer.status_code == 404
    assert desk.open(f"/kundenservice/kunden/{number}/emails").status == 404


def test_the_mails_of_one_customer_and_back_to_them_after_a_click(desk, queue, erika, max_):
    queue(max_, UNKNOWN)
    queue(erika, UNKNOWN)
    desk.open(f"/kundenservice/kunden/{erika.id}/emails")
    assert desk.heading == "E-Mails an Erika Mustermann"
    assert max_.email not in desk.text
    desk.press("Erneut senden")
    assert desk.heading == "E-Mails an Erika Mustermann"
    assert "geht gleich noch einmal hinaus" in desk.text and "wartet" in row(desk)
