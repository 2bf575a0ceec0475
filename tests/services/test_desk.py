"""The desk: a corrected address, links, a new customer, lock and unlock."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from kmzportal.models import AddressProposal, AuditEvent, Clerk, ClerkDay, Customer, LinkKind, LinkState, SupportCase
from kmzportal.services import accounts, audit, desk, links, support
from kmzportal.services.passwords import hash_password
from kmzportal.services.refusals import AddressTaken, ChangedMeanwhile, LinkUnusable
from tests import people
from tests.people import NEW_EMAIL, NEW_PASSWORD, NOW, password_of

pytestmark = pytest.mark.usefixtures("clock")


# A corrected address


def test_a_corrected_address_gets_the_only_open_link_and_the_old_one_logs_in_until_it_is_used(
    backend, as_clerk, erika, log_in
):
    backend.issue(LinkKind.RECOVERY, erika), backend.issue(LinkKind.DESK, erika)
    backend.run(accounts.request_address_change, erika, "anders@schule.example")
    as_clerk(desk.correct_address, erika, backend.read(erika).version, NEW_EMAIL, "callback", "Sekretariat")
    still_open = [(link.kind, link.email, link.initials) for link in backend.links() if link.ended_at is None]
    objection = (LinkKind.OBJECTION, erika.email, None)
    assert still_open == [(LinkKind.DESK, NEW_EMAIL, "ro"), objection]
    assert [mail.recipient for mail in backend.mails()[-2:]] == [NEW_EMAIL, erika.email]
    assert [mail.template for mail in backend.mails()[-2:]] == ["desk_link", "address_corrected"]
    with backend.transaction() as tx:
        events = [(event.action, event.actor_label, event.remark) for event in audit.history(tx.session, erika)]
    assert ("address.corrected", "Kundenservice (ro)", "Rückruf – Sekretariat") in events
    assert log_in(erika)
    link = backend.links(LinkKind.DESK)[-1]
    backend.run(accounts.register, link, NOW, backend.read(erika).version, {}, hash_password(NEW_PASSWORD))
    assert backend.log_in(NEW_EMAIL, NEW_PASSWORD) and log_in(erika, NEW_PASSWORD) is None


@pytest.mark.parametrize("taken", ["email", "pending_email"])
def test_an_address_of_another_customer_is_refused_and_nothing_changes(backend, as_clerk, erika, juergen, taken):
    backend.issue(LinkKind.DESK, juergen, juergen.pending_email)
    with pytest.raises(AddressTaken):
        as_clerk(desk.correct_address, erika, erika.version, getattr(juergen, taken).upper(), "callback", "")
    assert len(backend.mails()) == 1
    assert backend.read(erika).pending_email is None
    assert backend.actions()[1:] == ["address.refused"]


def test_an_address_that_another_customer_entered_goes_to_its_owner_and_to_nobody_else(backend, as_clerk, erika, max_):
    """Whoever enters a colleague's address must not keep it from her; nor may she confirm it for that account."""
    backend.run(accounts.request_address_change, max_, NEW_EMAIL)
    as_clerk(desk.correct_address, erika, erika.version, NEW_EMAIL, "callback", "")
    assert backend.read(erika).pending_email == NEW_EMAIL
    with pytest.raises(LinkUnusable):
        backend.run(accounts.confirm_address, backend.links(LinkKind.ADDRESS)[0], NOW)
    backend.run(accounts.request_address_change, max_, "andere@schule.example")
    as_clerk(desk.create_customer, "K-9", "andere@schule.example", {"first_name": "A", "last_name": "B"})
    with pytest.raises(LinkUnusable):
        backend.run(accounts.confirm_address, backend.links(LinkKind.ADDRESS)[-1], NOW)


@pytest.mark.parametrize("ended", [{"expires_at": NOW}, {"ended_at": NOW, "ended_as": LinkState.WITHDRAWN}])
def test_a_pending_address_without_an_open_link_does_not_block_its_owner(backend, as_clerk, erika, max_, ended):
    as_clerk(desk.correct_address, max_, max_.version, NEW_EMAIL, "callback", "")
    backend.update(backend.links(LinkKind.DESK)[0], **ended)
    as_clerk(desk.correct_address, erika, erika.version, NEW_EMAIL, "callback", "")
    assert backend.read(erika).pending_email == NEW_EMAIL


def test_a_locked_account_gets_the_new_address_at_once_and_loses_its_password(backend, as_clerk, ask, erika):
    as_clerk(desk.lock, erika, "gestohlen")
    as_clerk(desk.correct_address, erika, backend.read(erika).version, NEW_EMAIL, "in_person", "")
    as_clerk(desk.unlock, erika, "zurückgegeben", "in_person")
    saved = backend.read(erika)
    assert (saved.email, saved.pending_email, backend.mails("desk_link")) == (NEW_EMAIL, None, [])
    assert backend.log_in(NEW_EMAIL, password_of(erika)) is None
    assert ask(erika.email) == "unknown"


def test_the_same_address_and_a_form_of_an_older_version_are_refused(backend, as_clerk, erika):
    with pytest.raises(desk.SameAddress):
        as_clerk(desk.correct_address, erika, erika.version, f" {erika.email.upper()} ", "callback", "")
    as_clerk(desk.correct_data, erika, erika.version, {"phone": "4711"})
    with pytest.raises(ChangedMeanwhile):
        as_clerk(desk.correct_address, erika, erika.version, NEW_EMAIL, "callback", "")
    with pytest.raises(ChangedMeanwhile):
        as_clerk(desk.correct_data, erika, erika.version, {"phone": "1"})
    saved = backend.read(erika)
    assert (saved.pending_email, saved.phone) == (None, "4711")


def test_an_address_that_waits_for_a_second_clerk_waits_no_longer_once_the_account_is_locked(
    backend, monkeypatch, app, erika, rosa
):
    """The one who proposed it may have been deceived; a third one would confirm it after the unlocking."""
    monkeypatch.setitem(app.config, "SECOND_PERSON", True)
    by_rosa = {"actor": f"clerk:{rosa.id}", "initials": "ro"}
    seen = backend.read(erika).version
    backend.run(desk.correct_address, erika, seen, "e.mustermann@gmx.de", "callback", "", **by_rosa)
    assert len(backend.read(select(AddressProposal))) == 1
    backend.run(desk.lock, erika, "Betrug am Telefon", **by_rosa)
    assert backend.read(select(AddressProposal)) == []


@pytest.mark.parametrize("act", ["correct", "lock", "withdraw"])
def test_a_link_that_was_replaced_before_is_not_renewed_after_the_desk_took_the_access_away(
    backend, as_clerk, erika, act
):
    """The earlier mailbox would get a fresh link, and the one to the new address would end."""
    first, second = (backend.issue(LinkKind.DESK, erika) for _ in range(2))
    assert backend.read(first).ended_as == LinkState.REPLACED
    if act == "correct":
        as_clerk(desk.correct_address, erika, backend.read(erika).version, NEW_EMAIL, "in_person", "")
    elif act == "lock":
        as_clerk(accounts.lock, erika)
        backend.update(erika, locked_at=None)
    else:
        as_clerk(desk.withdraw_link, second)
        assert backend.read(second).ended_as == LinkState.WITHDRAWN
    with pytest.raises(LinkUnusable):
        backend.run(links.renew, first)
    newest = backend.links(LinkKind.DESK)[-1]
    assert act != "correct" or (newest.email, newest.ended_at) == (NEW_EMAIL, None)


def test_of_four_concurrent_corrections_one_is_made(backend, erika):
    def correct(tx, customer):
        desk.correct_address(tx, customer, erika.version, NEW_EMAIL, "callback", "")

    results = backend.run_concurrently(4, correct, erika)
    assert sorted(type(result).__name__ for result in results) == ["ChangedMeanwhile"] * 3 + ["NoneType"]
    assert len(backend.mails("desk_link")) == 1


# Links


def test_a_sent_link_goes_to_the_stored_address_and_the_one_that_the_customer_entered_stays_pending(
    backend, as_clerk, erika, address_link, clock
):
    link = as_clerk(desk.send_link, erika, "Anruf")
    (sent,) = backend.read(select(AuditEvent).where(AuditEvent.action == "link.sent"))
    assert (sent.details["by"], sent.remark) == ("ro", "Anruf")
    assert backend.read(erika).pending_email == NEW_EMAIL
    assert backend.read(address_link).ended_at is None
    clock.shift(timedelta(hours=70))
    as_clerk(desk.send_again, link)
    assert [(mail.recipient, mail.link_id) for mail in backend.mails("desk_link")] == [(erika.email, link.id)] * 2
    assert backend.read(link).expires_at == NOW + timedelta(hours=142), "sent again, it is valid for three days again"


@pytest.mark.parametrize("act", [desk.send_again, desk.withdraw_link])
def test_only_an_open_link_and_no_objection_is_sent_again_or_withdrawn(backend, as_clerk, corrected_link, act):
    (objection,) = backend.links(LinkKind.OBJECTION)
    with pytest.raises(LinkUnusable):
        as_clerk(act, objection)
    for ended in ({"expires_at": NOW}, {"ended_at": NOW, "ended_as": "redeemed"}):
        backend.update(corrected_link, **ended)
        with pytest.raises(LinkUnusable):
            as_clerk(act, corrected_link)
    assert backend.read(objection).ended_at is None


def test_a_link_whose_code_is_used_up_is_withdrawn_but_not_sent_again(backend, as_clerk, erika, corrected_link):
    """It still works with the puzzle: whoever holds it must not keep it by five wrong codes."""
    backend.update(corrected_link, code_tries=5)
    with pytest.raises(LinkUnusable):
        as_clerk(desk.send_again, corrected_link)
    as_clerk(desk.withdraw_link, corrected_link)
    assert (backend.read(corrected_link).ended_as, backend.read(erika).pending_email) == ("withdrawn", None)


# A new customer, lock and unlock


def test_a_new_customer_has_a_number_and_address_of_their_own_and_no_password(backend, as_clerk, erika):
    for number, email, refusal in (
        ("K-2001", erika.email.upper(), AddressTaken),
        (erika.number, NEW_EMAIL, desk.NumberTaken),
    ):
        with pytest.raises(refusal):
            as_clerk(desk.create_customer, number, email, {"last_name": "Neumann"})
    as_clerk(desk.create_customer, "K-2001", "Neu@schule.example", {"last_name": "Neumann", "school": "GMS"})
    (new,) = backend.read(select(Customer).where(Customer.number == "K-2001"))
    assert (new.password_hash, new.email, new.school, new.town) == (None, "Neu@schule.example", "GMS", "")
    assert "customer.created" in backend.actions()


def test_an_unlocked_customer_keeps_the_password_and_the_history_names_both_reasons(backend, as_clerk, erika, log_in):
    as_clerk(desk.lock, erika, "Gerät gestohlen")
    assert log_in(erika) is None
    as_clerk(desk.unlock, erika, "Gerät gefunden")
    assert log_in(erika)
    events = backend.read(select(AuditEvent).where(AuditEvent.action.startswith("account.")).order_by(AuditEvent.id))
    assert [(event.label, event.remark) for event in events] == [
        ("Konto gesperrt", "Gerät gestohlen"),
        ("Konto entsperrt", "Gerät gefunden"),
    ]


def test_after_an_identity_check_that_kept_the_address_its_next_objection_locks_again(backend, as_clerk, erika):
    """Whoever made the owner object once must not get an account soon after that she can only write about."""
    as_clerk(desk.correct_address, erika, erika.version, NEW_EMAIL, "callback", "")
    backend.run(accounts.object_to_change, backend.links(LinkKind.OBJECTION)[-1], NOW)
    as_clerk(desk.unlock, erika, "geprüft", "in_person")
    as_clerk(desk.correct_address, erika, backend.read(erika).version, NEW_EMAIL, "callback", "")
    notices = [link for link in backend.links(LinkKind.OBJECTION) if link.ended_at is None]
    seen = backend.read(erika).version
    backend.run(accounts.register, backend.links(LinkKind.DESK)[-1], NOW, seen, {}, "hash of the thief")
    backend.run(accounts.object_to_change, next(link for link in notices if link.email == erika.email), NOW)
    saved = backend.read(erika)
    assert saved.locked_at and saved.password_hash is None


UNDO = {
    "another link": desk.send_link,
    "the link is withdrawn": lambda tx, customer: desk.withdraw_link(tx, links.newest(tx.session, customer, "desk")),
    "the address is withdrawn": desk.withdraw_address,
    "the customer keeps the old one": accounts.keep_address,
    "the customer enters another one": lambda tx, customer: accounts.request_address_change(
        tx, customer, "a@b.example"
    ),
    "a lock": lambda tx, customer: (
        desk.lock(tx, customer, "Verdacht"),
        desk.unlock(tx, customer, "geklärt", "callback"),
    ),
    "nobody uses the link": lambda tx, customer: None,
    "another correction": lambda tx, customer: (
        desk.correct_address(tx, customer, customer.version, "dieb@nochmal.example", "callback", ""),
        desk.withdraw_address(tx, customer),
    ),
}


@pytest.mark.parametrize("given", [None, "erika@dritte.example"], ids=["her address back", "another one"])
@pytest.mark.parametrize("undo", UNDO)
def test_a_correction_that_is_taken_back_settles_nothing(backend, as_clerk, erika, clock, undo, given):
    """Whoever stole a session of the desk, or the password, could otherwise undo what was mended, for good."""
    given = given or erika.email
    for email in (NEW_EMAIL, given):
        as_clerk(desk.correct_address, erika, backend.read(erika).version, email, "callback", "")
        if email != given:
            seen = backend.read(erika).version
            backend.run(accounts.register, backend.links(LinkKind.DESK)[-1], NOW, seen, {}, "hash of the thief")
        clock.shift(timedelta(minutes=1))
    notices = [link for link in backend.links(LinkKind.OBJECTION) if link.email == erika.email]
    as_clerk(UNDO[undo], erika)
    backend.run(accounts.object_to_change, notices[0], NOW)
    saved = backend.read(erika)
    assert (bool(saved.locked_at), saved.password_hash, saved.objection) == (True, None, "open")
    assert all(link.ended_at for link in backend.links(LinkKind.OBJECTION)), "one objection counts, the others end"


def test_a_correction_that_was_used_leaves_no_objection_of_before(backend, as_clerk, erika):
    """What an intruder collected in the mailbox must not lock the account that was mended."""
    for email in (NEW_EMAIL, erika.email):
        as_clerk(desk.correct_address, erika, backend.read(erika).version, email, "callback", "")
        seen = backend.read(erika).version
        backend.run(accounts.register, backend.links(LinkKind.DESK)[-1], NOW, seen, {}, "hash")
    as_clerk(desk.send_link, erika)
    assert {link.email for link in backend.links(LinkKind.OBJECTION) if not link.ended_at} == {NEW_EMAIL}


def test_an_account_with_an_open_objection_is_deleted_only_once_the_person_was_checked(
    backend, as_clerk, erika, address_link
):
    """Otherwise deleting it would take away the lock and the objection, and its number could be given to anybody."""

    def delete():
        as_clerk(desk.delete_customer, erika, backend.read(erika).version, "Wunsch", False)

    backend.run(accounts.object_to_change, backend.links(LinkKind.OBJECTION)[0], NOW)
    with pytest.raises(desk.ObjectionOpen):
        delete()
    as_clerk(desk.unlock, erika, "geklärt", "callback")
    delete()
    assert backend.read(select(Customer)) == []


@pytest.mark.parametrize("locked", [True, False, "and corrected again, which ends the first objection"])
def test_an_account_is_not_deleted_while_its_earlier_address_can_object(backend, as_clerk, erika, clock, locked):
    """Otherwise whoever moved the address could delete the account, and with it the objection and its notice."""
    if locked:
        as_clerk(desk.lock, erika, "Verdacht")
    as_clerk(desk.correct_address, erika, backend.read(erika).version, NEW_EMAIL, "callback", "")
    if locked == "and corrected again, which ends the first objection":
        as_clerk(desk.unlock, erika, "geklärt", "callback")
        as_clerk(desk.correct_address, erika, backend.read(erika).version, "noch@eine.example", "callback", "")
    if not locked:
        link = backend.links(LinkKind.DESK)[-1]
        backend.run(accounts.register, link, NOW, backend.read(erika).version, {}, hash_password(NEW_PASSWORD))
    with pytest.raises(desk.ObjectionOpen) as refused:
        as_clerk(desk.delete_customer, erika, backend.read(erika).version, "Wunsch", False)
    assert "Die E-Mail-Adresse ist neu." in refused.value.message
    clock.shift(timedelta(days=7))
    if backend.read(erika).locked_at:
        as_clerk(desk.unlock, erika, "geklärt", "callback")
    as_clerk(desk.delete_customer, erika, backend.read(erika).version, "Wunsch", False)
    assert backend.read(select(Customer)) == []


def test_after_an_objection_an_account_is_unlocked_only_with_a_new_address_or_an_identity_check(
    backend, as_clerk, erika, address_link, ask, log_in
):
    """Whoever moved the address would ask for a new password there."""
    backend.run(accounts.confirm_address, address_link, NOW)
    backend.run(accounts.object_to_change, backend.links(LinkKind.OBJECTION)[0], NOW)
    for check in ("", "number"):  # whoever moved it has read the number in the account
        with pytest.raises(desk.ObjectionOpen):
            as_clerk(desk.unlock, erika, "Kundin rief an", check)
    assert backend.read(erika).locked_at and ask(NEW_EMAIL) == "locked"
    as_clerk(desk.unlock, erika, "Kundin rief an", "callback")
    assert backend.read(erika).locked_at is None
    [event] = backend.read(select(AuditEvent).where(AuditEvent.action == "account.unlocked"))
    assert event.remark == "Rückruf – Kundin rief an"

    backend.run(accounts.request_address_change, erika, "dieb@evil.example")
    backend.run(accounts.object_to_change, backend.links(LinkKind.OBJECTION)[-1], NOW)
    with pytest.raises(desk.ObjectionOpen):
        as_clerk(desk.unlock, erika, "Kundin rief an")
    as_clerk(desk.correct_address, erika, backend.read(erika).version, "erika@gms-nagold.example", "callback", "")
    as_clerk(desk.unlock, erika, "Adresse berichtigt")
    assert backend.read(erika).locked_at is None


@pytest.mark.parametrize("before", [None, "settled", "locked"])
def test_who_rings_that_somebody_was_in_the_account_gets_what_the_button_gives(
    backend, as_clerk, erika, log_in, before
):
    """Most notices offer the telephone only; the stolen password must not open the account once it is unlocked."""
    if before == "locked":
        as_clerk(desk.lock, erika, "Kundin rief an")
    elif before:
        backend.update(erika, objection=before)
    as_clerk(desk.lock, erika, "Kundin rief an: Passkey nicht von ihr", True)
    for check in ("", "number"):
        with pytest.raises(desk.ObjectionOpen):
            as_clerk(desk.unlock, erika, "Kundin rief an", check)
    with pytest.raises(desk.ObjectionOpen):
        as_clerk(desk.delete_customer, erika, backend.read(erika).version, "im Konto angefordert", False)
    with pytest.raises(desk.NumberAlone):
        as_clerk(desk.correct_address, erika, backend.read(erika).version, NEW_EMAIL, "number", "")
    as_clerk(desk.unlock, erika, "Kundin rief an", "callback")
    saved = backend.read(erika)
    assert (saved.locked_at, saved.objection, saved.password_hash) == (None, None, None)
    assert log_in(erika) is None
    as_clerk(desk.lock, erika, "fehlt in der Liste")
    as_clerk(desk.delete_customer, erika, backend.read(erika).version, "fehlt in der Liste", False)


def test_an_intruder_whom_the_owner_reports_after_her_objection_changes_nothing(backend, as_clerk, erika, address_link):
    backend.run(accounts.object_to_change, backend.links(LinkKind.OBJECTION)[0], NOW)
    as_clerk(desk.lock, erika, "Kundin rief an", True)
    assert backend.read(erika).objection == "open"


def test_a_caller_who_has_an_account_locked_and_moved_cannot_keep_its_owner_from_objecting(backend, as_clerk, erika):
    as_clerk(desk.lock, erika, "Jemand ist in meinem Konto", True)
    as_clerk(desk.correct_address, erika, backend.read(erika).version, NEW_EMAIL, "callback", "")
    assert backend.read(erika).password_hash is None
    [objection] = [link for link in backend.links(LinkKind.OBJECTION) if link.ended_at is None]
    as_clerk(desk.unlock, erika, "geklärt", "callback")
    backend.run(accounts.object_to_change, objection, NOW)
    assert (objection.email, bool(backend.read(erika).locked_at)) == (erika.email, True)


@pytest.mark.parametrize("later", [0, 8])
@pytest.mark.parametrize("moved", [True, False])
def test_an_account_that_was_locked_on_the_telephone_while_its_owner_could_object_is_not_unlocked_unchecked(
    backend, as_clerk, erika, address_link, clock, moved, later
):
    """Whoever moved the address, or has entered another one, rings as well, and another clerk takes the call."""
    if moved:
        backend.run(accounts.confirm_address, address_link, NOW)
    as_clerk(desk.lock, erika, "Kundin rief an: Adresse nicht von ihr")
    clock.shift(timedelta(days=later))
    for check in ("", "number"):
        with pytest.raises(desk.ObjectionOpen) as refused:
            as_clerk(desk.unlock, erika, "Kundin rief an", check)
        assert "Prüfen Sie zuerst die Person." in refused.value.message and "gemeldet" not in refused.value.message
    as_clerk(desk.unlock, erika, "Kundin rief an", "callback")
    saved = backend.read(erika)
    assert (saved.locked_at, saved.password_hash) == (None, None), "the password may be stolen"


@pytest.mark.parametrize("objected", [True, False])
def test_while_someone_objected_or_can_the_number_alone_proves_nobody(backend, as_clerk, erika, address_link, objected):
    """Whoever moved the address has read the number in the account, and may have a mailbox of the same school."""
    backend.update(erika, imported={"school": erika.school, "email": erika.email})
    wanted = "schueler7@" + erika.email.partition("@")[2]
    backend.run(accounts.confirm_address, address_link, NOW)
    backend.update(erika, email=(same := "erika@" + erika.email.partition("@")[2]), email_canonical=same)
    if objected:
        backend.run(accounts.object_to_change, backend.links(LinkKind.OBJECTION)[0], NOW)
    with pytest.raises(desk.NumberAlone):
        as_clerk(desk.correct_address, erika, backend.read(erika).version, wanted, "number", "")
    with pytest.raises(desk.ObjectionOpen):
        as_clerk(desk.unlock, erika, "Kundin rief an", "number")
    assert (backend.read(erika).email, backend.links(LinkKind.DESK)) == (same, [])
    backend.run(accounts.settle_objections, erika)
    as_clerk(desk.correct_address, erika, backend.read(erika).version, wanted, "number", "")


def test_no_account_gets_the_address_of_a_clerk_and_the_attempt_is_recorded(backend, as_clerk, erika, tim):
    with pytest.raises(desk.AddressOfClerk):
        as_clerk(desk.correct_address, erika, erika.version, tim.email.upper(), "callback", "")
    assert (backend.actions(), backend.mails(), backend.read(erika).pending_email) == (["address.refused"], [], None)


def test_a_new_customer_gets_no_address_of_a_clerk_either_and_the_attempt_is_recorded(backend, as_clerk, tim):
    with pytest.raises(desk.AddressOfClerk):
        as_clerk(desk.create_customer, "K-9", tim.email.upper(), {"last_name": "Bauer"})
    assert (backend.actions(), backend.read(select(Customer))) == (["address.refused"], [])


# The second person


FREE = "erika.mustermann@web.de"


@pytest.fixture
def propose(app, backend, erika, rosa, monkeypatch):
    """Rosa wants to correct Erika's address to FREE, which needs a second person."""
    monkeypatch.setitem(app.config, "SECOND_PERSON", True)

    def propose(email=FREE):
        seen = backend.read(erika).version
        arguments = erika, seen, email, "callback", "Sekretariat"
        return backend.run(desk.correct_address, *arguments, actor=f"clerk:{rosa.id}", initials="ro")

    return propose


def test_an_address_that_anyone_can_create_waits_for_another_clerk(backend, propose, erika, rosa, tim):
    assert propose() is False
    assert (backend.mails(), backend.links(), backend.read(erika).pending_email) == ([], [], None)
    with pytest.raises(desk.SecondPersonDue):
        backend.run(desk.decide_on_address, erika, erika.version, FREE, True, actor=f"clerk:{rosa.id}", initials="ro")
    assert backend.mails() == []
    backend.run(desk.decide_on_address, erika, erika.version, FREE, True, actor=f"clerk:{tim.id}", initials="tb")
    assert [mail.recipient for mail in backend.mails()] == [FREE, erika.email]
    assert (backend.read(erika).pending_email, backend.read(select(AddressProposal))) == (FREE, [])
    events = backend.read(select(AuditEvent).where(AuditEvent.action.like("address.%")).order_by(AuditEvent.id))
    assert [(event.action, event.details["by"], event.remark) for event in events] == [
        ("address.proposed", "ro", "Rückruf – Sekretariat"),
        ("address.corrected", "tb", "Rückruf – Sekretariat"),
    ]


def test_an_address_at_any_well_known_free_provider_waits(propose):
    """Those of the German market and those that take no name; the list is plain, not complete."""
    names = """tuta.com tutanota.com tutanota.de proton.me protonmail.com pm.me mailbox.org posteo.de icloud.com me.com
        aol.com yahoo.de yahoo.com hotmail.de hotmail.com outlook.de outlook.com live.de gmx.net gmx.de gmx.at gmx.ch
        web.de freenet.de t-online.de arcor.de mail.de email.de mail.com zoho.com yandex.com gmail.com googlemail.com
        duck.com mozmail.com dieb.mozmail.com privaterelay.appleid.com mailinator.com startmail.com riseup.net byom.de
        disroot.org mailfence.com ok.de mail.ru ewe.net netcologne.de simplelogin.com anonaddy.com teachers.org"""
    assert [name for name in names.split() if propose(f"erika@{name.upper()}") is not False] == []


def test_a_new_customer_does_not_get_an_address_that_a_correction_would_wait_for(app, as_clerk, backend, monkeypatch):
    """Otherwise a clerk alone deletes an account and creates it again, under the same number and with that address."""
    arguments = desk.create_customer, "K-2001", FREE, {"last_name": "Neumann"}
    monkeypatch.setitem(app.config, "SECOND_PERSON", True)
    with pytest.raises(desk.SecondPersonFirst):
        as_clerk(*arguments)
    assert backend.read(select(Customer)) == []
    monkeypatch.setitem(app.config, "SECOND_PERSON", False)
    assert as_clerk(*arguments).email == FREE


def test_a_refused_or_replaced_proposal_changes_nothing(backend, propose, erika, tim):
    propose(), propose("e.mustermann@gmx.de")
    decide = {"actor": f"clerk:{tim.id}", "initials": "tb"}
    with pytest.raises(ChangedMeanwhile):
        backend.run(desk.decide_on_address, erika, erika.version, FREE, True, **decide)
    backend.run(desk.decide_on_address, erika, erika.version, "e.mustermann@gmx.de", False, **decide)
    with pytest.raises(ChangedMeanwhile):
        backend.run(desk.decide_on_address, erika, erika.version, "e.mustermann@gmx.de", True, **decide)
    assert (backend.mails(), backend.links(), backend.read(erika).pending_email) == ([], [], None)
    assert backend.actions()[-1] == "address.proposal_refused"


def test_of_concurrent_confirmations_one_is_made_and_other_addresses_need_no_second_person(
    backend, propose, erika, juergen, as_clerk
):
    propose()
    results = backend.run_concurrently(3, desk.decide_on_address, erika, erika.version, FREE, True)
    assert sorted(type(result).__name__ for result in results) == ["ChangedMeanwhile"] * 2 + ["NoneType"]
    assert as_clerk(desk.correct_address, juergen, juergen.version, "j@neue-schule.example", "callback", "") is True


# What a clerk does in a day


def test_an_unusual_number_of_acts_is_mailed_to_all_admins_once_a_day(backend, app, rosa, erika, clock, monkeypatch):
    monkeypatch.setitem(app.config, "DESK_ACTS_PER_DAY", 3)
    monkeypatch.setitem(app.config, "MAILS_PER_DAY", 100)
    other = people.person(people.TIM | {"initials": "se", "email": "se@kmz.example", "admin": True})
    backend.add(other)

    def send_links(number):
        for _ in range(number):
            backend.run(desk.send_link, erika, actor=f"clerk:{rosa.id}", initials="ro")

    send_links(3)
    assert backend.mails("alarm_desk_volume") == []
    send_links(4)
    alarms = backend.mails("alarm_desk_volume")
    assert [(mail.recipient, mail.facts["initials"], mail.facts["number"]) for mail in alarms] == [
        (rosa.email, "ro", 4),
        ("se@kmz.example", "ro", 4),
    ]
    clock.shift(timedelta(days=1))
    send_links(4)
    assert len(backend.mails("alarm_desk_volume")) == 4
    assert [row.number for row in backend.read(select(ClerkDay).order_by(ClerkDay.day))] == [7, 4]
    backend.run(desk.send_link, erika, "-", actor="console")
    assert len(backend.read(select(ClerkDay))) == 2


def test_each_customer_counts_once_a_day_and_acts_are_counted_apart(backend, app, rosa, erika, max_, monkeypatch):
    monkeypatch.setitem(app.config, "DESK_SEEN_PER_DAY", 1)
    as_rosa = {"actor": f"clerk:{rosa.id}", "initials": "ro"}
    for _ in range(2):
        backend.run(desk.record_access, erika, **as_rosa)
    backend.run(desk.print_letter, erika, erika.version, 0, "callback", "", False, **as_rosa)
    assert backend.mails("alarm_desk_volume") == []
    backend.run(desk.record_access, max_, **as_rosa)
    assert [mail.facts["what"] for mail in backend.mails("alarm_desk_volume")] == ["Konten angesehen"]
    assert {row.act: row.number for row in backend.read(select(ClerkDay))} == {"seen": 2, "letters": 1}


def test_an_alarm_late_in_the_evening_does_not_silence_that_of_the_next_day(
    backend, app, rosa, erika, clock, monkeypatch
):
    monkeypatch.setitem(app.config, "DESK_ACTS_PER_DAY", 1)
    for at in (datetime(2026, 11, 23, 22, 50, tzinfo=UTC), datetime(2026, 11, 23, 23, 10, tzinfo=UTC)):  # 23:50, 00:10
        clock.move_to(at)
        for _ in range(3):
            backend.run(desk.send_link, erika, actor=f"clerk:{rosa.id}", initials="ro")
    assert [mail.facts["number"] for mail in backend.mails("alarm_desk_volume")] == [2, 2]


def test_an_alarm_about_one_act_silences_none_about_another_act_of_the_same_clerk(
    backend, app, rosa, erika, max_, monkeypatch
):
    """Who opens many pages first, of which no customer is told, must not correct many addresses unnoticed after it."""
    monkeypatch.setitem(app.config, "DESK_SEEN_PER_DAY", 1)
    monkeypatch.setitem(app.config, "DESK_ACTS_PER_DAY", 1)
    as_rosa = {"actor": f"clerk:{rosa.id}", "initials": "ro"}
    for customer in (erika, max_):
        backend.run(desk.record_access, customer, **as_rosa)
    for number in range(2):
        email = f"neu{number}@schule.example"
        backend.run(desk.correct_address, erika, backend.read(erika).version, email, "callback", "", **as_rosa)
    told = [mail.facts["what"] for mail in backend.mails("alarm_desk_volume")]
    assert told == ["Konten angesehen", "Adressen berichtigt"]


OTHER_ACTS = {
    "lock": "Konten gesperrt",
    "withdraw_link": "Links und neue Adressen zurückgezogen",
    "withdraw_address": "Links und neue Adressen zurückgezogen",
    "decide_on_address": "Links und neue Adressen zurückgezogen",
    "create_customer": "Konten angelegt",
    "delete_customer": "Konten gelöscht",
    "ask_back": "Rückfragen gesendet",
    "correct_data": "Daten berichtigt",
}


@pytest.fixture
def arguments(backend, propose, erika, as_clerk):
    """Return for each of OTHER_ACTS a function of a number that prepares the act and returns its arguments."""

    def refusal(_number):
        propose()
        return erika, backend.read(erika).version, FREE, False

    def question(number):
        return backend.run(support.open_case, "other", "form", f"{number}@schule.example", "?"), "Klicken Sie hier."

    def account(number):
        new = as_clerk(desk.create_customer, f"K-{number}", f"neu{number}@schule.example", {"last_name": "B"})
        return new, new.version, "-", False

    return {
        "lock": lambda _: (erika, "-"),
        "withdraw_link": lambda _: (backend.issue(LinkKind.DESK, erika),),
        "withdraw_address": lambda _: (erika,),
        "decide_on_address": refusal,
        "create_customer": lambda number: (f"K-{number}", f"neu{number}@schule.example", {"last_name": "B"}),
        "delete_customer": account,
        "ask_back": question,
        "correct_data": lambda number: (
            erika,
            backend.read(erika).version,
            erika.data() | {"phone": f"07051 {number}"},
        ),
    }


@pytest.mark.parametrize("act", OTHER_ACTS)
@pytest.mark.usefixtures("rosa")  # the admin
def test_an_unusual_number_of_each_other_act_is_mailed_as_well(backend, app, tim, arguments, act, monkeypatch):
    """What a stolen session can do to many customers at once, without a code."""
    monkeypatch.setitem(app.config, "DESK_ACTS_PER_DAY", 2)

    def told():
        return [mail.facts["what"] for mail in backend.mails("alarm_desk_volume") if mail.facts["initials"] == "tb"]

    for number in range(3):
        assert told() == []
        values = arguments[act](number)
        backend.run(getattr(desk, act), *values, actor=f"clerk:{tim.id}", initials="tb")
    assert told() == [OTHER_ACTS[act]]


def test_an_address_that_was_the_present_one_a_moment_ago_counts_as_an_earlier_one(backend, as_clerk, erika):
    """The link to the new address may be used between the first look at the account and the lock."""
    backend.run(desk.correct_address, erika, erika.version, NEW_EMAIL, "callback", "", actor="clerk:1", initials="ro")

    def may_object(tx, seen):
        moved = update(Customer).where(Customer.id == seen.id).values(email=NEW_EMAIL)
        tx.session.execute(moved, execution_options={"synchronize_session": False})
        assert seen.email == erika.email
        return desk.objection_pending(tx, seen)

    assert backend.run(may_object, erika)


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (lambda tx, case, other, clerk, customer: desk.close_case(tx, case, "spam"), "Anfragen abgeschlossen"),
        (lambda tx, case, other, clerk, customer: desk.merge_case(tx, case, other), "Anfragen abgeschlossen"),
        (lambda tx, case, other, clerk, customer: desk.assign_case(tx, case, customer, clerk), "Anfragen zugeordnet"),
        (
            lambda tx, case, other, clerk, customer: (support.close(tx, case, "spam"), desk.reopen_case(tx, case)),
            "Anfragen wieder geöffnet",
        ),
    ],
    ids=["close", "merge", "assign", "reopen"],
)
def test_an_unusual_number_of_acts_on_requests_is_mailed_to_the_admins(
    app, backend, rosa, erika, act, told, monkeypatch
):
    """A stolen session could otherwise close all requests, and every teacher who wrote would wait in vain."""
    monkeypatch.setitem(app.config, "DESK_ACTS_PER_DAY", 2)
    cases = [backend.run(support.open_case, "other", "mail", f"lehrerin{n}@schule.example", "Hilfe") for n in range(4)]
    for case in cases[:3]:
        with backend.transaction(f"clerk:{rosa.id}", initials="ro") as tx:
            mine = tx.session.get_one(SupportCase, case.id)
            people = tx.session.get_one(Clerk, rosa.id), tx.session.get_one(Customer, erika.id)
            act(tx, mine, cases[3].reference, *people)
    assert [mail.facts["what"] for mail in backend.mails("alarm_desk_volume")] == [told]
