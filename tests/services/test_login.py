"""Who gets in, who does not, and what of it is on record."""

import pytest
from sqlalchemy import select

from kmzportal.models.audit_event import AuditEvent
from kmzportal.models.login_session import LoginSession
from kmzportal.services import accounts, sessions
from kmzportal.services.passwords import PasswordCheck, check_password, hash_password
from tests import people, secret_scan

pytestmark = pytest.mark.usefixtures("clock")
SCHOOL = "192.0.2.7"


def test_erika_logs_in_with_her_address_however_she_types_it(backend, erika):
    token = backend.log_in(f" {erika.email.upper()} ", people.password_of(erika))
    login_session = backend.session_of(token)
    assert login_session.customer.number == erika.number
    assert login_session.device == "Firefox unter Windows"
    assert backend.actions() == ["login.succeeded"]


def test_the_token_is_only_in_the_cookie(app, backend, erika):
    token = backend.log_in(erika.email, people.password_of(erika))
    assert len(token) == 43
    secret_scan.check(app, token)


def test_whoever_is_refused_gets_nothing_whatever_the_reason(backend, erika, anneliese, lieselotte):
    assert backend.log_in("niemand@schule.example", people.password_of(erika)) is None
    assert backend.log_in(erika.email, "falsches passwort") is None
    assert backend.log_in(anneliese.email, "") is None
    assert backend.log_in(lieselotte.email, people.password_of(lieselotte)) is None
    assert backend.actions() == ["login.refused"] * 4
    assert backend.read(select(LoginSession)) == []


def test_a_clerk_does_not_log_in_as_a_customer(backend, rosa):
    assert backend.log_in(rosa.email, people.password_of(rosa)) is None


def test_juergens_pending_address_does_not_log_in_and_his_old_one_does(backend, juergen):
    assert backend.log_in(juergen.pending_email, people.password_of(juergen)) is None
    assert backend.log_in(juergen.email, people.password_of(juergen))


def test_a_proof_of_the_password_before_does_not_count(backend, erika):
    early = check_password(people.password_of(erika), erika.password_hash)
    backend.run(accounts.set_password, erika, hash_password(people.NEW_PASSWORD))
    assert backend.run(sessions.log_in, erika.email, early, "Firefox") is None


def test_an_outdated_hash_is_replaced_when_erika_logs_in(backend, erika):
    proof = PasswordCheck(erika.password_hash, matches=True, new_hash=hash_password(people.password_of(erika)))
    backend.run(sessions.log_in, erika.email, proof, "Firefox")
    assert backend.read(erika).password_hash == proof.new_hash
    assert backend.read(erika).password_set_at == erika.password_set_at


def test_the_record_says_who_and_from_where(backend, erika):
    backend.log_in(erika.email, "falsches passwort", SCHOOL)
    backend.log_in(erika.email, people.password_of(erika), SCHOOL)
    refused, succeeded = backend.read(select(AuditEvent).order_by(AuditEvent.id))
    assert (refused.actor, refused.customer_id, refused.source) == ("visitor", erika.id, SCHOOL)
    assert succeeded.actor == f"customer:{erika.id}"
