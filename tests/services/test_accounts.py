"""Accounts: what each act ends, Konto anpassen, a password set by link, a new mail address and the objection to it."""

from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal import mail_address
from kmzportal.db import db
from kmzportal.mail.compose import compose
from kmzportal.models import (
    AccountLink,
    AuditEvent,
    LinkKind,
    LinkState,
    LoginSession,
    MailState,
    OutgoingMail,
    SupportCase,
    Throttle,
)
from kmzportal.services import accounts, desk, links, outbox
from kmzportal.services.passwords import check_password, hash_password
from kmzportal.services.refusals import ChangedMeanwhile, LinkUnusable, TooManyMails, WeakPassword
from tests import people, secret_scan
from tests.people import NEW_EMAIL, NEW_PASSWORD, NOW

pytestmark = pytest.mark.usefixtures("clock")
WRONG = "falsches passwort"


def run_act(act, backend, erika, login_session):
    """Run the act on Erika, her session or her latest link of the kind that the act takes."""
    new, links = hash_password(NEW_PASSWORD), {link.kind: link for link in backend.links()}
    arguments = {
        accounts.set_password_by_link: (backend.issue(LinkKind.RECOVERY, erika), NOW, new),
        accounts.save_account: (erika, login_session, backend.read(erika).version, {}, None, new),
        accounts.confirm_address: (links.get(LinkKind.ADDRESS), NOW),
        accounts.object_to_change: (links.get(LinkKind.OBJECTION), NOW),
        accounts.withdraw_address_change: (erika,),
        desk.lock: (erika, "Gerät gestohlen"),
        desk.withdraw_link: (links.get(LinkKind.DESK),),
        desk.send_link: (erika,),
    }
    backend.run(act, *arguments[act])


@pytest.mark.parametrize(
    ("act", "sessions", "recovery", "desk_link", "address", "objection", "failures"),
    [
        (accounts.set_password_by_link, 0, "replaced", "open", "withdrawn", "open", {"new"}),
        (accounts.save_account, 1, "replaced", "open", "withdrawn", "open", {"new"}),
        (accounts.confirm_address, 0, "withdrawn", "withdrawn", "redeemed", "open", {"old"}),
        (desk.lock, 0, "withdrawn", "withdrawn", "withdrawn", "open", {"old", "new"}),
        (accounts.object_to_change, 0, "withdrawn", "withdrawn", "withdrawn", "redeemed", {"old", "new"}),
        (accounts.withdraw_address_change, 2, "open", "open", "withdrawn", "withdrawn", {"old", "new"}),
    ],
)
def test_what_an_act_ends_and_what_stays(
    backend, erika, max_, log_in, login_session, act, sessions, recovery, desk_link, address, objection, failures
):
    log_in(erika), log_in(max_)
    log_in(erika, WRONG), backend.log_in(NEW_EMAIL, WRONG)
    of_max = backend.issue(LinkKind.RECOVERY, max_)
    backend.run(accounts.request_address_change, erika, NEW_EMAIL)
    backend.issue(LinkKind.RECOVERY, erika), backend.issue(LinkKind.DESK, erika)
    links = {link.kind: link for link in backend.links() if link.customer_id == erika.id}
    run_act(act, backend, erika, login_session)

    alive = [one for one in backend.read(select(LoginSession)) if one.alive(NOW)]
    assert len([one for one in alive if one.customer_id == erika.id]) == sessions
    assert sessions == 0 or login_session.id in [one.id for one in alive]
    assert {kind: str(backend.read(link).state(NOW)) for kind, link in links.items()} == {
        LinkKind.RECOVERY: recovery,
        LinkKind.DESK: desk_link,
        LinkKind.ADDRESS: address,
        LinkKind.OBJECTION: objection,
    }
    assert backend.read(erika).pending_email is None
    names = {"old": erika.email_canonical, "new": mail_address.canonical(NEW_EMAIL)}
    counted = {throttle.account for throttle in backend.read(select(Throttle))}
    assert counted == {backend.keys.fingerprint(names[name]) for name in failures}
    assert [one.customer_id for one in alive].count(max_.id) == 1
    assert backend.read(of_max).state(NOW) is LinkState.OPEN


@pytest.mark.parametrize("act", [accounts.set_password_by_link, accounts.save_account])
def test_a_new_password_keeps_the_desks_correction_of_an_address(backend, erika, login_session, corrected_link, act):
    run_act(act, backend, erika, login_session)
    assert backend.read(corrected_link).state(NOW) is LinkState.OPEN
    assert backend.read(erika).pending_email == NEW_EMAIL


@pytest.mark.parametrize(
    "act",
    [desk.lock, accounts.object_to_change, accounts.withdraw_address_change, desk.withdraw_link, desk.send_link],
)
def test_what_ends_the_desks_correction_of_an_address(backend, erika, login_session, corrected_link, act):
    run_act(act, backend, erika, login_session)
    assert backend.read(corrected_link).state(NOW) is LinkState.WITHDRAWN
    assert backend.read(erika).pending_email is None
    [objection] = backend.links(LinkKind.OBJECTION)
    others = {desk.lock: LinkState.OPEN, accounts.object_to_change: LinkState.REDEEMED}
    assert objection.state(NOW) is others.get(act, LinkState.WITHDRAWN)


# Konto anpassen


def check(backend, erika, login_session, password):
    return backend.run(
        accounts.check_current_password, erika, login_session, check_password(password, erika.password_hash)
    )


@pytest.mark.parametrize("kind", [LinkKind.DESK, LinkKind.RECOVERY])
def test_an_earlier_address_that_is_entered_again_is_the_customers_own_entry(backend, as_clerk, erika, clock, kind):
    """Although the desk once sent a link there: the owner's new password ends it, and old links to it stay ended."""
    earlier = erika.email
    as_clerk(desk.send_link, erika)
    replaced = backend.issue(kind, erika)
    backend.issue(kind, erika)
    backend.run(accounts.set_password, erika, "hash")
    clock.shift(timedelta(days=1))
    backend.run(accounts.request_address_change, erika, NEW_EMAIL)
    backend.run(accounts.confirm_address, backend.links(LinkKind.ADDRESS)[-1], NOW + timedelta(days=1))
    clock.shift(timedelta(days=1))
    backend.run(accounts.request_address_change, erika, earlier)
    backend.update(replaced, ended_as=LinkState.REPLACED)  # as if the move had left it
    with pytest.raises(LinkUnusable):
        backend.run(links.renew, replaced)
    assert not backend.run(lambda tx, customer: accounts.corrected_by_desk(tx.session, customer), erika)
    backend.run(accounts.set_password, erika, "hash of the owner")
    assert backend.read(erika).pending_email is None
    with pytest.raises(LinkUnusable):
        backend.run(links.renew, replaced)


def test_the_current_password_is_noted_with_its_time_and_gives_the_session_a_new_token(app, backend, erika, log_in):
    old = log_in(erika)
    new = check(backend, erika, backend.session_of(old), people.password_of(erika))
    checked = backend.session_of(new.token)
    assert checked.password_checked_at == NOW
    assert backend.session_of(old) is None
    secret_scan.check(app, new.token)


def test_a_wrong_current_password_is_recorded_and_throttled_and_the_right_one_clears_the_failures(
    backend, erika, login_session, clock
):
    right = people.password_of(erika)
    assert check(backend, erika, login_session, WRONG) is None
    assert backend.read(login_session).password_checked_at is None
    assert backend.actions()[-1] == "password.refused"
    for failures in (4, 5, 20):
        for _ in range(failures):
            check(backend, erika, login_session, WRONG)
        assert bool(check(backend, erika, login_session, right)) is (failures <= 5)
    clock.shift(30)
    assert check(backend, erika, login_session, right)


def test_tries_that_are_throttled_are_recorded_once_an_hour(backend, erika, login_session, clock):
    """Who found a session would else hide in the history, by a hundred tries, what was done before."""
    for _ in range(20):
        check(backend, erika, login_session, WRONG)
    assert backend.actions().count("password.refused") == 6 + 1
    clock.shift(timedelta(hours=1))
    check(backend, erika, login_session, WRONG), check(backend, erika, login_session, WRONG)
    assert backend.actions().count("password.refused") == 7 + 2


def test_only_changed_data_is_saved_and_recorded_by_the_names_of_its_fields(backend, erika):
    assert not backend.run(accounts.change_data, erika, erika.data())
    assert (backend.actions(), backend.read(erika).version) == ([], erika.version)
    other = {"number": "K-9", "email": "x@y.example", "locked_at": "1", "id": "7"}
    assert backend.run(accounts.change_data, erika, {"phone": "07051 4711", "town": erika.town, **other})
    saved = backend.read(erika)
    assert (saved.phone, saved.number, saved.email) == ("07051 4711", erika.number, erika.email)
    assert saved.locked_at is None
    (event,) = backend.read(select(AuditEvent))
    assert (event.action, event.details) == ("data.changed", {"fields": ["phone"]})


def test_of_two_concurrent_changes_of_data_none_is_lost_silently(backend, erika):
    """On SQLite one waits for the other and both are saved; on PostgreSQL the second gets ChangedMeanwhile."""
    phones = iter(["1", "2"])
    results = backend.run_concurrently(
        2, lambda tx, erika: accounts.change_data(tx, erika, {"phone": next(phones)}), erika
    )
    refused = [result for result in results if isinstance(result, ChangedMeanwhile)]
    assert backend.read(erika).version == erika.version + 2 - len(refused)
    assert len(refused) == backend.app.config["SQLALCHEMY_DATABASE_URI"].startswith("postgresql")


def test_data_is_saved_alone_or_with_password_and_address_and_not_from_a_form_of_an_older_version(
    backend, erika, log_in, login_session
):
    assert backend.run(accounts.save_account, erika, login_session, erika.version, {"phone": "1"}, None, None) is None
    assert (backend.read(login_session).token_hash, backend.mails()) == (login_session.token_hash, [])
    new = hash_password(NEW_PASSWORD)
    with pytest.raises(ChangedMeanwhile):
        backend.run(accounts.save_account, erika, login_session, erika.version, {"phone": "2"}, NEW_EMAIL, new)
    assert (backend.read(erika).phone, backend.read(erika).password_hash) == ("1", erika.password_hash)

    seen = backend.read(erika).version
    renewed = backend.run(accounts.save_account, erika, login_session, seen, {"phone": "4711"}, NEW_EMAIL, new)
    saved = backend.read(erika)
    assert (saved.phone, saved.pending_email) == ("4711", NEW_EMAIL)
    assert backend.session_of(renewed.token).id == login_session.id
    assert log_in(erika, NEW_PASSWORD) and log_in(erika) is None
    assert [mail.template for mail in backend.mails()] == ["password_changed", "address_change_asked", "address_link"]


def test_customers_see_their_own_sessions_latest_first_and_end_one_or_all_others(
    backend, erika, max_, clock, log_in, login_session
):
    of_max, one = (backend.session_of(log_in(person)) for person in (max_, erika))
    clock.shift(timedelta(minutes=29))
    latest = backend.session_of(log_in(erika))
    with backend.transaction() as tx:
        active = [one.id for one in accounts.active_sessions(tx.session, erika, NOW + timedelta(minutes=29))]
        assert active[0] == latest.id and set(active) == {latest.id, one.id, login_session.id}
        assert len(accounts.active_sessions(tx.session, erika, NOW + timedelta(minutes=31))) == 1
    for session_id, ended in ((one.id, True), (one.id, False), (of_max.id, False), (10**6, False)):
        assert backend.run(accounts.end_own_session, erika, session_id) is ended
    assert backend.mails() == []
    assert [backend.run(accounts.end_other_sessions, erika, login_session) for _ in range(2)] == [1, 0]
    assert [mail.template for mail in backend.mails()] == ["sessions_ended"]
    log_in(erika)
    backend.run(accounts.end_other_sessions, erika, login_session)
    assert len(backend.mails()) == 1, "once an hour: whoever has the password could cause any number"
    assert [one.id for one in backend.read(select(LoginSession)) if one.alive(NOW)] == [login_session.id, of_max.id]


# A new password


def test_names_of_office_and_person_and_passwords_below_the_minimum_are_refused(app, erika, rosa, monkeypatch):
    """The minimum is a setting, and 15 characters for clerks."""
    words = "zebra am kanal"
    accounts.validate_password(words, erika, app.config)
    with pytest.raises(WeakPassword) as refused:
        accounts.validate_password(words, rosa, app.config)
    assert "15" in refused.value.message
    monkeypatch.setitem(app.config, "PASSWORD_MINIMUM", 13)
    for weak in (words[:12], "Medienzentrum 2026", "Kreismedienzentrum!", "ErikaMustermann26"):
        with pytest.raises(WeakPassword):
            accounts.validate_password(weak, erika, app.config)


def test_registering_sets_data_password_and_the_address_that_the_desk_corrected(backend, juergen):
    for _ in range(8):
        backend.log_in(juergen.pending_email, WRONG)
    link = backend.issue(LinkKind.DESK, juergen, juergen.pending_email)
    data = {"last_name": "Groß-Klein", "phone": "07051 4711"}
    backend.run(accounts.register, link, NOW, juergen.version, data, hash_password(NEW_PASSWORD))
    saved = backend.read(juergen)
    assert (saved.last_name, saved.phone, saved.password_set_at) == ("Groß-Klein", "07051 4711", NOW)
    assert (saved.email, saved.pending_email) == (juergen.pending_email, None)
    assert [mail.recipient for mail in backend.mails("password_set")] == [juergen.email]
    assert {"link.redeemed", "password.set", "data.changed", "address.changed"} < set(backend.actions())
    assert backend.log_in(juergen.pending_email, NEW_PASSWORD), "earlier failures at this address still count"
    assert backend.log_in(juergen.email, NEW_PASSWORD) is None


# A new mail address


def test_a_new_address_counts_once_it_is_confirmed_and_is_kept_as_typed(backend, erika, address_link, log_in):
    assert log_in(erika) and backend.log_in(NEW_EMAIL, people.password_of(erika)) is None
    backend.run(accounts.confirm_address, address_link, NOW)
    saved = backend.read(erika)
    assert (saved.email, saved.pending_email, saved.pending_email_canonical) == (NEW_EMAIL, None, None)
    assert backend.log_in(NEW_EMAIL.lower(), people.password_of(erika)) and log_in(erika) is None


def test_both_addresses_are_notified_despite_the_daily_cap_and_no_mail_names_the_other_address(backend, erika):
    with backend.transaction() as tx:
        for _ in range(10):
            tx.send("password_changed", erika)
    backend.run(accounts.request_address_change, erika, NEW_EMAIL)
    backend.run(accounts.confirm_address, backend.links(LinkKind.ADDRESS)[-1], NOW)
    _, asked, link, old, new = backend.mails()[-5:]
    assert [mail.template for mail in (asked, link, old, new)] == [
        *("address_change_asked", "address_link", "address_changed_old", "address_changed_new"),
    ]
    assert [mail.recipient for mail in (link, asked, old, new)] == [NEW_EMAIL, erika.email, erika.email, NEW_EMAIL]
    assert [asked.link_id, old.link_id] == [link.id for link in backend.links(LinkKind.OBJECTION)]
    assert new.link_id is None
    assert not any("@" in str(mail.facts) for mail in backend.mails())


def test_asking_for_the_present_address_does_nothing(backend, erika):
    backend.run(accounts.request_address_change, erika, erika.email.upper())
    assert backend.mails() == backend.actions() == []


def test_a_link_to_another_address_does_not_confirm_the_pending_one(backend, juergen):
    link = backend.issue(LinkKind.ADDRESS, juergen, juergen.email)
    with pytest.raises(LinkUnusable):
        backend.run(accounts.confirm_address, link, NOW)
    assert backend.read(juergen).email == juergen.email


def test_a_customer_asks_for_ten_addresses_a_day_and_what_is_taken_back_uses_up_nothing(backend, erika, max_, clock):
    """Each further request takes the one before back, and its mail is not sent."""
    for _ in range(10):
        backend.run(accounts.request_address_change, max_, NEW_EMAIL)
    with pytest.raises(TooManyMails):
        backend.run(accounts.request_address_change, max_, "anders@neue-schule.example")
    assert backend.read(max_).pending_email == NEW_EMAIL
    backend.run(accounts.withdraw_address_change, max_)
    backend.run(accounts.request_address_change, erika, NEW_EMAIL)
    assert [mail.customer_id for mail in backend.mails("address_link")] == [max_.id] * 10 + [erika.id]
    assert backend.run(outbox.claim, backend.mails("address_link")[-1].id), "what was taken back does not count"
    clock.shift(timedelta(days=1))
    backend.run(accounts.request_address_change, max_, "anders@neue-schule.example")


def test_a_customer_causes_half_of_the_mails_to_a_new_address_and_its_owner_gets_the_rest(backend, erika, max_, clock):
    for _ in range(7):
        backend.run(accounts.request_address_change, max_, NEW_EMAIL)
        mail = backend.mails("address_link")[-1]
        if backend.run(outbox.claim, mail.id):
            backend.update(mail, state=MailState.SENT)  # before it is taken back
    backend.run(accounts.request_address_change, erika, NEW_EMAIL)
    assert backend.read(max_).pending_email == NEW_EMAIL, "the page looks the same"
    assert [mail.state for mail in backend.mails("address_link")][:-1] == [MailState.SENT] * 5 + [
        MailState.CANCELLED
    ] * 2
    assert backend.run(outbox.claim, backend.mails("address_link")[-1].id)


def test_a_taken_address_gets_no_link_and_its_owner_one_notice_a_day(backend, erika, max_, anneliese):
    for asker in (erika, anneliese, erika):
        backend.run(accounts.request_address_change, asker, max_.email.upper())
        assert backend.run(outbox.claim, backend.mails("address_link")[-1].id) is None
    assert [mail.recipient for mail in backend.mails("address_taken")] == [max_.email]
    assert {mail.state for mail in backend.mails("address_link")} == {MailState.CANCELLED}


def test_an_address_that_the_desk_entered_for_another_customer_gets_no_link(backend, as_clerk, erika, max_):
    """Its owner, who waits for a link, would confirm it for the account of whoever asked."""
    as_clerk(desk.correct_address, erika, erika.version, NEW_EMAIL, "callback", "")
    backend.run(accounts.request_address_change, max_, NEW_EMAIL)
    mail = backend.mails("address_link")[-1]
    assert backend.run(outbox.claim, mail.id) is None
    assert backend.read(mail).reason == outbox.ADDRESS_GIVEN
    assert backend.mails("address_taken") == []


def test_a_new_address_that_was_taken_before_its_mail_left_gets_no_link(backend, erika, max_, address_link):
    [mail] = backend.mails("address_link")
    backend.update(max_, email=NEW_EMAIL, email_canonical=NEW_EMAIL.casefold())
    assert backend.run(outbox.claim, mail.id) is None
    assert [notice.customer_id for notice in backend.mails("address_taken")] == [max_.id]


def test_two_customers_who_confirm_one_address_concurrently_do_not_both_get_it(backend, erika, max_, address_link):
    backend.run(accounts.request_address_change, max_, NEW_EMAIL)
    turns = iter(backend.links(LinkKind.ADDRESS))

    def confirm_the_next(tx):
        accounts.confirm_address(tx, tx.session.get(AccountLink, next(turns).id), NOW)

    results = backend.run_concurrently(2, confirm_the_next)
    assert sorted(type(result).__name__ for result in results) == ["AddressTaken", "NoneType"]
    customers = [backend.read(erika), backend.read(max_)]
    assert sorted([one.email == NEW_EMAIL for one in customers]) == [False, True]
    assert sorted([one.pending_email == NEW_EMAIL for one in customers]) == [False, True]
    assert [link.ended_as for link in backend.links(LinkKind.ADDRESS)].count(None) == 1
    assert "address.refused" in backend.actions()


def test_a_notice_of_a_change_greets_with_the_name_before_it(app, backend, erika, login_session, corrected_link):
    hostile, new = {"last_name": "Feind"}, hash_password(NEW_PASSWORD)
    backend.run(accounts.save_account, erika, login_session, backend.read(erika).version, hostile, None, new)
    backend.update(erika, last_name="Mustermann")
    backend.run(accounts.register, corrected_link, NOW, backend.read(erika).version, hostile, new)
    with app.app_context():
        every = db.session.scalars(select(OutgoingMail))
        sent = {mail.template: compose(mail, backend.keys, app.config, NOW).body for mail in every}
    for template in ("password_changed", "password_set", "address_changed_old"):
        assert sent[template].startswith("Guten Tag Frau Mustermann,"), template


# Das war ich nicht


@pytest.mark.parametrize("confirmed", [False, True])
def test_an_objection_locks_the_account_and_drops_the_password(backend, erika, address_link, clock, confirmed):
    if confirmed:
        backend.run(accounts.confirm_address, address_link, NOW)
    later = NOW + timedelta(days=7, seconds=-2)
    clock.move_to(later)
    backend.run(accounts.object_to_change, backend.links(LinkKind.OBJECTION)[0], later)
    saved = backend.read(erika)
    assert (saved.locked_at, saved.password_hash) == (later, None), "whoever asked for the address knows it"
    assert backend.log_in(saved.email, people.password_of(erika)) is None
    assert backend.actions().count("address.objected") == 1
    [case] = backend.read(select(SupportCase))
    assert (case.branch, case.customer_id, case.email, case.state) == ("objection", erika.id, erika.email, "open")
    for link in backend.links(LinkKind.OBJECTION)[1:]:
        with pytest.raises(LinkUnusable):
            backend.run(accounts.object_to_change, link, later)


def test_of_two_objections_at_once_one_counts(backend, erika, address_link):
    backend.run(accounts.confirm_address, address_link, NOW)
    turns = iter(backend.links(LinkKind.OBJECTION))

    def use_the_next(tx):
        accounts.object_to_change(tx, tx.session.get(AccountLink, next(turns).id), NOW)

    results = backend.run_concurrently(2, use_the_next)
    assert sorted(type(result).__name__ for result in results) == ["LinkUnusable", "NoneType"]
    assert backend.actions().count("address.objected") == len(backend.read(select(SupportCase))) == 1


# What is settled ends


def objections(backend):
    """Try every objection link there is and return how many still worked."""
    used = 0
    for link in backend.links(LinkKind.OBJECTION):
        with suppress(LinkUnusable):
            backend.run(accounts.object_to_change, link, NOW)
            used += 1
    return used


def mend(backend, as_clerk, erika):
    """The desk corrects the address, unlocks, and the owner registers there; return the token of her session."""
    as_clerk(desk.correct_address, erika, backend.read(erika).version, NEW_EMAIL, "callback", "")
    if backend.read(erika).locked_at:
        as_clerk(desk.unlock, erika, "geklärt", "callback")
        as_clerk(desk.send_link, erika)
    link, seen = backend.links(LinkKind.DESK)[-1], backend.read(erika).version
    backend.run(accounts.register, link, NOW, seen, {}, hash_password(NEW_PASSWORD))
    return backend.log_in(NEW_EMAIL, NEW_PASSWORD)


@pytest.mark.parametrize("first_used", [0, 1])
@pytest.mark.parametrize("confirmed", [False, True])
@pytest.mark.parametrize(
    "before", [lambda tx, customer: None, lambda tx, customer: desk.lock(tx, customer, "Verdacht")], ids=["", "locked"]
)
def test_links_that_an_intruder_collected_do_nothing_once_the_desk_has_mended_the_account(
    backend, as_clerk, erika, before, confirmed, first_used
):
    """Whoever holds the old mailbox and a session for a minute asks for five addresses and gets five objections."""
    for number in range(5):
        backend.run(accounts.request_address_change, erika, f"dieb{number}@evil.example")
    if confirmed:
        backend.run(accounts.confirm_address, backend.links(LinkKind.ADDRESS)[-1], NOW)
    if first_used:
        backend.run(accounts.object_to_change, backend.links(LinkKind.OBJECTION)[-1], NOW)
    as_clerk(before, erika)
    old = backend.links(LinkKind.OBJECTION)
    token = mend(backend, as_clerk, erika)
    for link in old:
        with pytest.raises(LinkUnusable):
            backend.run(accounts.object_to_change, link, NOW)
    saved = backend.read(erika)
    assert (saved.locked_at, saved.email) == (None, NEW_EMAIL) and backend.session_of(token).alive(NOW)
    assert backend.log_in(NEW_EMAIL, NEW_PASSWORD)
    if first_used:
        assert objections(backend) == 0, "the desk's own correction sent the old mailbox another one"
        assert [mail.link_id for mail in backend.mails("address_taken_away")] == [None]


def test_a_change_that_is_taken_back_or_replaced_ends_its_own_objection_and_no_other(backend, as_clerk, erika):
    backend.run(accounts.request_address_change, erika, NEW_EMAIL)
    backend.run(accounts.confirm_address, backend.links(LinkKind.ADDRESS)[-1], NOW)
    as_clerk(desk.print_letter, erika, backend.read(erika).version, 0, "callback", "", False)
    moved = backend.links(LinkKind.OBJECTION)
    for number in range(2):
        backend.run(accounts.request_address_change, erika, f"dieb{number}@evil.example")
    asked = backend.links(LinkKind.OBJECTION)[-2:]
    assert [backend.read(link).ended_as for link in asked] == ["withdrawn", None]
    backend.run(accounts.keep_address, erika)
    assert [backend.read(link).ended_as for link in asked] == ["withdrawn"] * 2
    assert [backend.read(link).ended_as for link in moved] == [None] * 3
    assert backend.read(select(SupportCase)) == [], "the customer's own change is no case"


def test_a_mailed_link_that_is_used_settles_nothing(backend, erika, address_link):
    backend.run(
        accounts.set_password_by_link, backend.issue(LinkKind.RECOVERY, erika), NOW, hash_password(NEW_PASSWORD)
    )
    assert objections(backend) == 1 and backend.read(erika).locked_at


def test_after_an_objection_was_settled_an_address_that_was_taken_away_opens_a_case_and_locks_nothing(
    backend, as_clerk, erika, address_link
):
    objections(backend)
    as_clerk(desk.correct_address, erika, backend.read(erika).version, NEW_EMAIL, "callback", "")
    as_clerk(desk.unlock, erika, "geklärt")
    password = hash_password(NEW_PASSWORD)
    backend.run(accounts.set_password_by_link, backend.issue(LinkKind.RECOVERY, erika), NOW, password)
    token = backend.log_in(NEW_EMAIL, NEW_PASSWORD)
    backend.issue(LinkKind.OBJECTION, erika, erika.email)
    assert objections(backend) == 1
    assert backend.read(erika).locked_at is None and backend.session_of(token).alive(NOW)
    second = backend.read(select(SupportCase).order_by(SupportCase.id))[1]
    assert (second.branch, second.customer_id, second.reply_to) == ("objection", erika.id, NEW_EMAIL)
    assert backend.actions().count("address.objected_again") == 1

    backend.run(accounts.request_address_change, erika, "dieb@evil.example")
    backend.run(accounts.confirm_address, backend.links(LinkKind.ADDRESS)[-1], NOW)
    assert objections(backend) == 1
    assert backend.read(erika).locked_at, "against a new change it counts in full"


@pytest.mark.parametrize("corrected", [True, False])
def test_an_objection_that_was_settled_does_not_weaken_one_to_a_later_correction(
    backend, as_clerk, erika, address_link, clock, corrected
):
    """Whoever talks a clerk into an address must not get an account that its owner can only write about."""
    objections(backend)
    if corrected:
        mend(backend, as_clerk, erika)
    else:
        as_clerk(desk.unlock, erika, "geklärt", "callback")
    later = NOW + timedelta(seconds=1) if corrected else NOW + timedelta(days=7)
    clock.move_to(later)
    as_clerk(desk.correct_address, erika, backend.read(erika).version, "dieb@evil.example", "callback", "")
    link, seen = backend.links(LinkKind.DESK)[-1], backend.read(erika).version
    backend.run(accounts.register, link, later, seen, {}, hash_password(NEW_PASSWORD))
    token = backend.log_in("dieb@evil.example", NEW_PASSWORD)
    assert token
    assert objections(backend) == 1
    saved = backend.read(erika)
    assert saved.locked_at and saved.password_hash is None and not backend.session_of(token).alive(later)


def test_a_moved_address_ends_all_sessions_but_the_one_that_confirmed_it(backend, erika, address_link, log_in):
    here, elsewhere = (backend.session_of(log_in(erika)) for _ in range(2))
    backend.run(accounts.confirm_address, address_link, NOW, here)
    assert backend.read(here).alive(NOW) and not backend.read(elsewhere).alive(NOW)


@pytest.mark.parametrize(
    "act", [accounts.keep_address, lambda tx, erika: accounts.request_address_change(tx, erika, "noch@eine.example")]
)
@pytest.mark.parametrize("by_desk", [False, True])
def test_a_correction_of_the_desk_that_the_customer_takes_back_or_replaces_becomes_a_case(
    backend, as_clerk, erika, by_desk, act
):
    if by_desk:
        as_clerk(desk.correct_address, erika, erika.version, NEW_EMAIL, "callback", "")
    else:
        backend.run(accounts.request_address_change, erika, NEW_EMAIL)
    backend.run(act, erika)
    assert backend.read(erika).pending_email != NEW_EMAIL
    assert [case.branch for case in backend.read(select(SupportCase))] == ["objection"] * by_desk


def test_a_concurrent_objection_and_confirmation_leave_the_account_locked(backend, erika, address_link):
    (objection,) = backend.links(LinkKind.OBJECTION)
    turns = iter([(accounts.confirm_address, address_link), (accounts.object_to_change, objection)])

    def run_the_next(tx):
        act, link = next(turns)
        act(tx, tx.session.get(AccountLink, link.id), NOW)

    backend.run_concurrently(2, run_the_next)
    assert backend.read(erika).locked_at


def test_data_is_changed_in_the_account_ten_times_a_day(backend, erika, login_session, clock):
    """Each change makes the forms obsolete that the owner, with a link, or the desk has open."""

    def save(number):
        seen, data = backend.read(erika).version, erika.data() | {"phone": f"07051 {number}"}
        backend.run(accounts.save_account, erika, login_session, seen, data, None, None)

    for number in range(10):
        save(number)
    for number in (10, 11):
        with pytest.raises(accounts.TooManyChanges):
            save(number)
    save(9)  # nothing changes
    assert backend.read(erika).phone == "07051 9"
    clock.shift(timedelta(days=1))
    save(12)
    assert backend.read(erika).phone == "07051 12"
