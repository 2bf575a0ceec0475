"""A new password is judged first; then it ends what the old one had begun."""

import pytest

from kmzportal.models.account_link import LinkKind, LinkState
from kmzportal.services import accounts, links
from kmzportal.services.passwords import hash_password
from kmzportal.services.refusals import LinkUnusable, WeakPassword
from tests import people

pytestmark = pytest.mark.usefixtures("clock")


def judge(app, text, person):
    accounts.validate_password(text, person, app.config)


def take(backend, person):
    backend.run(accounts.set_password, person, hash_password(people.NEW_PASSWORD))


@pytest.mark.parametrize("text", [*people.PASSWORDS.values(), people.NEW_PASSWORD, people.OTHER_PASSWORD])
def test_the_passwords_of_the_cast_are_good_for_erika(app, erika, text):
    judge(app, text, erika)


@pytest.mark.parametrize("text", ["kurzesding", "Medienzentrum 2026", "Kreismedienzentrum!", "ErikaMustermann26"])
def test_short_ones_and_those_of_office_and_name_are_not(app, erika, text):
    with pytest.raises(WeakPassword):
        judge(app, text, erika)


def test_clerks_need_fifteen_characters(app, erika, rosa):
    judge(app, "zebra am kanal", erika)
    with pytest.raises(WeakPassword) as refused:
        judge(app, "zebra am kanal", rosa)
    assert "15" in refused.value.message


def test_the_minimum_is_a_setting(app, erika, monkeypatch):
    monkeypatch.setitem(app.config, "PASSWORD_MINIMUM", 20)
    with pytest.raises(WeakPassword):
        judge(app, "zebra am kanal", erika)


def test_a_new_password_ends_all_sessions_of_its_owner_only(backend, erika, max_):
    hers = [backend.log_in(erika.email, people.password_of(erika)) for _ in range(2)]
    his = backend.log_in(max_.email, people.password_of(max_))
    take(backend, erika)
    assert not any(backend.session_of(token).alive(people.NOW) for token in hers)
    assert backend.session_of(his).alive(people.NOW)


def test_a_new_password_ends_other_recovery_links_and_spares_the_desks(backend, erika):
    recovery, desk = (backend.run(links.issue, kind, erika) for kind in (LinkKind.RECOVERY, LinkKind.DESK))
    take(backend, erika)
    assert backend.read(recovery).state(people.NOW) is LinkState.REPLACED
    assert backend.read(desk).state(people.NOW) is LinkState.OPEN


def test_who_is_shut_out_by_a_new_password_cannot_move_the_account_to_an_own_address(backend, erika):
    """Somebody at Erika's open session asked for a change of address; then she sets a new password."""
    backend.run(accounts.request_address_change, erika, "fremd@anderswo.example")
    link = backend.mails("address_link")[0].link_id
    take(backend, erika)
    for deed in (links.renew, lambda tx, link: accounts.confirm_address(tx, link, people.NOW)):
        with pytest.raises(LinkUnusable), backend.transaction() as tx:
            deed(tx, tx.session.get(links.AccountLink, link))
    assert backend.read(erika).pending_email is None
    assert backend.read(erika).email == erika.email


def test_an_address_that_the_desk_corrected_stays_pending(backend, juergen):
    take(backend, juergen)
    assert backend.read(juergen).pending_email == juergen.pending_email


def test_a_password_set_by_link_is_on_record_and_its_owner_is_told(backend, erika):
    link = backend.run(links.issue, LinkKind.RECOVERY, erika)
    backend.run(accounts.set_password_by_link, link, people.NOW, hash_password(people.NEW_PASSWORD))
    assert backend.actions()[-2:] == ["link.redeemed", "password.set"]
    (mail,) = backend.mails()
    assert (mail.template, mail.recipient) == ("password_set", erika.email)
    assert backend.read(erika).password_set_at == people.NOW


def test_a_refused_link_leaves_password_and_sessions_alone(backend, erika):
    link = backend.run(links.issue, LinkKind.RECOVERY, erika)
    token = backend.log_in(erika.email, people.password_of(erika))
    backend.run(links.end, erika, LinkState.WITHDRAWN, {LinkKind.RECOVERY})
    with pytest.raises(LinkUnusable):
        backend.run(accounts.set_password_by_link, link, people.NOW, hash_password(people.NEW_PASSWORD))
    assert backend.session_of(token).alive(people.NOW)
    assert backend.log_in(erika.email, people.password_of(erika))
    assert backend.mails() == []
