"""Who gets in, who does not, and what of it is on record."""

import pytest
from sqlalchemy import select

from kmzportal.domain.audit_event import AuditEvent
from kmzportal.domain.login_session import LoginSession
from kmzportal.domain.passwords import Proof, hash_password, prove
from kmzportal.services import login, password
from tests import canary, cast

pytestmark = pytest.mark.usefixtures("clock")
SCHOOL = "192.0.2.7"


def test_erika_logs_in_with_her_address_however_she_types_it(deeds, erika):
    token = deeds.log_in(f" {erika.email.upper()} ", cast.password_of(erika))
    here = deeds.session_of(token)
    assert here.customer.number == erika.number
    assert here.device == "Firefox unter Windows"
    assert deeds.history() == ["login.succeeded"]


def test_the_token_is_only_in_the_cookie(app, deeds, erika):
    token = deeds.log_in(erika.email, cast.password_of(erika))
    assert len(token) == 43
    canary.check(app, token)


def test_whoever_is_refused_gets_nothing_whatever_the_reason(deeds, erika, anneliese, lieselotte):
    assert deeds.log_in("niemand@schule.example", cast.password_of(erika)) is None
    assert deeds.log_in(erika.email, "falsches passwort") is None
    assert deeds.log_in(anneliese.email, "") is None
    assert deeds.log_in(lieselotte.email, cast.password_of(lieselotte)) is None
    assert deeds.history() == ["login.refused"] * 4
    assert deeds.read(select(LoginSession)) == []


def test_a_clerk_does_not_log_in_as_a_customer(deeds, rosa):
    assert deeds.log_in(rosa.email, cast.password_of(rosa)) is None


def test_juergens_pending_address_does_not_log_in_and_his_old_one_does(deeds, juergen):
    assert deeds.log_in(juergen.pending_email, cast.password_of(juergen)) is None
    assert deeds.log_in(juergen.email, cast.password_of(juergen))


def test_a_proof_of_the_password_before_does_not_count(deeds, erika):
    early = prove(cast.password_of(erika), erika.password_hash)
    deeds.do(password.take, erika, hash_password(cast.NEW_PASSWORD))
    assert deeds.do(login.log_in, erika.email, early, "Firefox") is None


def test_an_outdated_hash_is_replaced_when_erika_logs_in(deeds, erika):
    proof = Proof(erika.password_hash, holds=True, rehashed=hash_password(cast.password_of(erika)))
    deeds.do(login.log_in, erika.email, proof, "Firefox")
    assert deeds.read(erika).password_hash == proof.rehashed
    assert deeds.read(erika).password_set_at == erika.password_set_at


def test_the_record_says_who_and_from_where(deeds, erika):
    deeds.log_in(erika.email, "falsches passwort", SCHOOL)
    deeds.log_in(erika.email, cast.password_of(erika), SCHOOL)
    refused, succeeded = deeds.read(select(AuditEvent).order_by(AuditEvent.id))
    assert (refused.actor, refused.customer_id, refused.source) == ("visitor", erika.id, SCHOOL)
    assert succeeded.actor == f"customer:{erika.id}"
