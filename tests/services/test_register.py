"""Registering over the desk's link: data, password and the corrected address, once."""

import pytest

from kmzportal.models.account_link import LinkKind
from kmzportal.services import accounts
from kmzportal.services.passwords import hash_password
from kmzportal.services.refusals import LinkUnusable
from tests import people

pytestmark = pytest.mark.usefixtures("clock")


def test_registering_sets_data_password_and_the_address_the_desk_corrected(backend, juergen, issue):
    link = issue(LinkKind.DESK, juergen, juergen.pending_email)
    data = {"last_name": "Groß-Klein", "phone": "07051 4711"}
    backend.run(accounts.register, link, people.NOW, juergen.version, data, hash_password(people.NEW_PASSWORD))
    login_session = backend.read(juergen)
    assert (login_session.last_name, login_session.phone, login_session.email) == (
        "Groß-Klein",
        "07051 4711",
        juergen.pending_email,
    )
    assert login_session.pending_email is None
    assert backend.log_in(juergen.pending_email, people.NEW_PASSWORD)
    assert backend.log_in(juergen.email, people.NEW_PASSWORD) is None


def test_he_may_have_tried_his_new_address_in_vain_before(backend, juergen, issue):
    for _ in range(8):
        backend.log_in(juergen.pending_email, "falsches passwort")
    link = issue(LinkKind.DESK, juergen, juergen.pending_email)
    backend.run(accounts.register, link, people.NOW, juergen.version, {}, hash_password(people.NEW_PASSWORD))
    assert backend.log_in(juergen.pending_email, people.NEW_PASSWORD)


def test_registering_twice_changes_data_once(backend, erika, issue):
    link = issue(LinkKind.DESK, erika)
    backend.run(accounts.register, link, people.NOW, erika.version, {"phone": "1"}, hash_password(people.NEW_PASSWORD))
    now = backend.read(erika).version
    with pytest.raises(LinkUnusable):
        backend.run(accounts.register, link, people.NOW, now, {"phone": "2"}, hash_password(people.OTHER_PASSWORD))
    assert backend.read(erika).phone == "1"
    assert backend.log_in(erika.email, people.NEW_PASSWORD)
