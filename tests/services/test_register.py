"""Registering over the desk's link: data, password and the corrected address, once."""

import pytest

from kmzportal.domain.account_link import LinkKind
from kmzportal.domain.passwords import hash_password
from kmzportal.domain.refusals import LinkUnusable
from kmzportal.services import account
from tests import cast

pytestmark = pytest.mark.usefixtures("clock")


def test_registering_sets_data_password_and_the_address_the_desk_corrected(deeds, juergen, issue):
    link = issue(LinkKind.DESK, juergen, juergen.pending_email)
    data = {"last_name": "Groß-Klein", "phone": "07051 4711"}
    deeds.do(account.register, link, cast.NOW, juergen.version, data, hash_password(cast.NEW_PASSWORD))
    here = deeds.read(juergen)
    assert (here.last_name, here.phone, here.email) == ("Groß-Klein", "07051 4711", juergen.pending_email)
    assert here.pending_email is None
    assert deeds.log_in(juergen.pending_email, cast.NEW_PASSWORD)
    assert deeds.log_in(juergen.email, cast.NEW_PASSWORD) is None


def test_he_may_have_tried_his_new_address_in_vain_before(deeds, juergen, issue):
    for _ in range(8):
        deeds.log_in(juergen.pending_email, "falsches passwort")
    link = issue(LinkKind.DESK, juergen, juergen.pending_email)
    deeds.do(account.register, link, cast.NOW, juergen.version, {}, hash_password(cast.NEW_PASSWORD))
    assert deeds.log_in(juergen.pending_email, cast.NEW_PASSWORD)


def test_registering_twice_changes_data_once(deeds, erika, issue):
    link = issue(LinkKind.DESK, erika)
    deeds.do(account.register, link, cast.NOW, erika.version, {"phone": "1"}, hash_password(cast.NEW_PASSWORD))
    now = deeds.read(erika).version
    with pytest.raises(LinkUnusable):
        deeds.do(account.register, link, cast.NOW, now, {"phone": "2"}, hash_password(cast.OTHER_PASSWORD))
    assert deeds.read(erika).phone == "1"
    assert deeds.log_in(erika.email, cast.NEW_PASSWORD)
