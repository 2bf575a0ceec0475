"""A new password is judged first; then it ends what the old one had begun."""

import pytest

from kmzportal.domain.account_link import LinkKind, LinkState
from kmzportal.domain.passwords import hash_password
from kmzportal.domain.refusals import LinkUnusable, WeakPassword
from kmzportal.services import account_link, address, password
from tests import cast

pytestmark = pytest.mark.usefixtures("clock")


def judge(app, text, person):
    password.judge(text, person, app.config)


def take(deeds, person):
    deeds.do(password.take, person, hash_password(cast.NEW_PASSWORD))


@pytest.mark.parametrize("text", [*cast.PASSWORDS.values(), cast.NEW_PASSWORD, cast.OTHER_PASSWORD])
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
    assert "15" in refused.value.reason


def test_the_minimum_is_a_setting(app, erika, monkeypatch):
    monkeypatch.setitem(app.config, "PASSWORD_MINIMUM", 20)
    with pytest.raises(WeakPassword):
        judge(app, "zebra am kanal", erika)


def test_a_new_password_ends_all_sessions_of_its_owner_only(deeds, erika, max_):
    hers = [deeds.log_in(erika.email, cast.password_of(erika)) for _ in range(2)]
    his = deeds.log_in(max_.email, cast.password_of(max_))
    take(deeds, erika)
    assert not any(deeds.session_of(token).alive(cast.NOW) for token in hers)
    assert deeds.session_of(his).alive(cast.NOW)


def test_a_new_password_ends_other_recovery_links_and_spares_the_desks(deeds, erika):
    recovery, desk = (deeds.do(account_link.issue, kind, erika) for kind in (LinkKind.RECOVERY, LinkKind.DESK))
    take(deeds, erika)
    assert deeds.read(recovery).state(cast.NOW) is LinkState.REPLACED
    assert deeds.read(desk).state(cast.NOW) is LinkState.OPEN


def test_who_is_shut_out_by_a_new_password_cannot_move_the_account_to_an_own_address(deeds, erika):
    """Somebody at Erika's open session asked for a change of address; then she sets a new password."""
    deeds.do(address.ask_to_change, erika, "fremd@anderswo.example")
    link = deeds.mails("address_link")[0].link_id
    take(deeds, erika)
    for deed in (account_link.renew, lambda work, link: address.confirm(work, link, cast.NOW)):
        with pytest.raises(LinkUnusable), deeds.work() as work:
            deed(work, work.session.get(account_link.AccountLink, link))
    assert deeds.read(erika).pending_email is None
    assert deeds.read(erika).email == erika.email


def test_an_address_that_the_desk_corrected_stays_pending(deeds, juergen):
    take(deeds, juergen)
    assert deeds.read(juergen).pending_email == juergen.pending_email


def test_a_password_set_by_link_is_on_record_and_its_owner_is_told(deeds, erika):
    link = deeds.do(account_link.issue, LinkKind.RECOVERY, erika)
    deeds.do(password.set_by_link, link, cast.NOW, hash_password(cast.NEW_PASSWORD))
    assert deeds.history()[-2:] == ["link.redeemed", "password.set"]
    (mail,) = deeds.mails()
    assert (mail.template, mail.recipient) == ("password_set", erika.email)
    assert deeds.read(erika).password_set_at == cast.NOW


def test_a_refused_link_leaves_password_and_sessions_alone(deeds, erika):
    link = deeds.do(account_link.issue, LinkKind.RECOVERY, erika)
    token = deeds.log_in(erika.email, cast.password_of(erika))
    deeds.do(account_link.end, erika, LinkState.WITHDRAWN, {LinkKind.RECOVERY})
    with pytest.raises(LinkUnusable):
        deeds.do(password.set_by_link, link, cast.NOW, hash_password(cast.NEW_PASSWORD))
    assert deeds.session_of(token).alive(cast.NOW)
    assert deeds.log_in(erika.email, cast.password_of(erika))
    assert deeds.mails() == []
