"""No token, no code and no password is anywhere after any deed; the canary would sing."""

import pytest

from kmzportal.domain.account_link import LinkKind
from kmzportal.domain.passwords import hash_password, prove
from kmzportal.services import account, account_link, address, recovery
from tests import canary, cast

pytestmark = pytest.mark.usefixtures("clock")


def test_no_token_no_code_and_no_password_is_anywhere_after_any_deed(deeds, app, erika, juergen, rosa):
    tokens = [deeds.log_in(erika.email, cast.password_of(erika))]
    here = deeds.session_of(tokens[0])
    desk = deeds.do(account_link.issue, LinkKind.DESK, juergen, juergen.pending_email, "ro")
    proof = prove(cast.password_of(erika), erika.password_hash)
    new, other = hash_password(cast.NEW_PASSWORD), hash_password(cast.OTHER_PASSWORD)
    walk = [
        (recovery.ask, erika.email),
        (account.prove, erika, here, proof),
        (account.change_data, erika, {"phone": "4711"}),
        (account.save, erika, here, erika.version + 1, {"phone": "4712"}, "erika@neue-schule.example", new),
        (account_link.send, desk),
        (account_link.open_link, desk),
        (account_link.check_code, desk, "AAAA-AAAA"),
        (account_link.check_code, desk, deeds.keys.code(desk)),
        (account.register, desk, cast.NOW, juergen.version, {"phone": "4713"}, other),
        (address.withdraw, erika),
        (account.end_other_sessions, erika, here),
        (account_link.issue, LinkKind.CLERK_FIRST, rosa),
    ]
    for deed, *what in walk:
        got = deeds.do(deed, *what)
        tokens += [got] if isinstance(got, str) and len(got) == 43 else []
        canary.check(app, *tokens)
    assert len(tokens) == 3


def test_the_canary_would_sing(deeds, app, erika):
    link = deeds.do(account_link.issue, LinkKind.DESK, erika)
    for secret in (deeds.keys.token(link), deeds.keys.code(link).lower(), cast.NEW_PASSWORD):
        deeds.do(account.change_data, erika, {"phone": f"tel {secret}"})
        with pytest.raises(AssertionError):
            canary.check(app)
    deeds.do(account.change_data, erika, {"phone": "4711"})
