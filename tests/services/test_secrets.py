"""No token, no code and no password is anywhere after any deed; the canary would sing."""

import pytest

from kmzportal.models.account_link import LinkKind
from kmzportal.services import accounts, links, recovery, sessions
from kmzportal.services.passwords import check_password, hash_password
from tests import people, secret_scan

pytestmark = pytest.mark.usefixtures("clock")


def test_no_token_no_code_and_no_password_is_anywhere_after_any_deed(backend, app, erika, juergen, rosa):
    tokens = [backend.log_in(erika.email, people.password_of(erika))]
    login_session = backend.session_of(tokens[0])
    desk = backend.run(links.issue, LinkKind.DESK, juergen, juergen.pending_email, "ro")
    proof = check_password(people.password_of(erika), erika.password_hash)
    new, other = hash_password(people.NEW_PASSWORD), hash_password(people.OTHER_PASSWORD)
    walk = [
        (recovery.request_link, erika.email),
        (accounts.check_current_password, erika, login_session, proof),
        (accounts.change_data, erika, {"phone": "4711"}),
        (
            accounts.save_account,
            erika,
            login_session,
            erika.version + 1,
            {"phone": "4712"},
            "erika@neue-schule.example",
            new,
        ),
        (links.send, desk),
        (links.mark_opened, desk),
        (links.check_code, desk, "AAAA-AAAA"),
        (links.check_code, desk, backend.keys.code(desk)),
        (accounts.register, desk, people.NOW, juergen.version, {"phone": "4713"}, other),
        (accounts.withdraw_address_change, erika),
        (accounts.end_other_sessions, erika, login_session),
        (links.issue, LinkKind.CLERK_FIRST, rosa),
    ]
    for deed, *what in walk:
        got = backend.run(deed, *what)
        tokens += [got.token] if isinstance(got, sessions.NewSession) else []
        secret_scan.check(app, *tokens)
    assert len(tokens) == 3


def test_the_canary_would_sing(backend, app, erika):
    link = backend.run(links.issue, LinkKind.DESK, erika)
    for secret in (backend.keys.token(link), backend.keys.code(link).lower(), people.NEW_PASSWORD):
        backend.run(accounts.change_data, erika, {"phone": f"tel {secret}"})
        with pytest.raises(AssertionError):
            secret_scan.check(app)
    backend.run(accounts.change_data, erika, {"phone": "4711"})
