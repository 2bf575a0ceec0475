"""The second factor of a clerk: a code from an app (TOTP, RFC 6238), or one of ten recovery codes.

Secret and codes derive by HMAC from FACTOR_KEY and a random nonce, like the token of a link: the database holds no
secret. Codes of an older key are accepted as long as it is in FACTOR_KEY_FALLBACKS.
"""

import base64
from datetime import datetime

from pyotp import TOTP
from sqlalchemy import update

from kmzportal.models import Clerk, LoginSession
from kmzportal.services import sessions
from kmzportal.services.refusals import SessionOver, WrongCode
from kmzportal.services.sessions import NewSession
from kmzportal.services.tokens import LinkKeys, codes_match, format_code
from kmzportal.services.transaction import Transaction, rows_changed

STEP = 30  # seconds
_DRIFT = 1  # steps that the clock of a phone may be early or late (RFC 6238, 5.2)
RECOVERY_CODES = 10
_GROUPS = 4  # of four characters with 5 bits each: 80 bits per code


class SecondFactor:
    def __init__(self, keys: LinkKeys, nonce: str):
        #: For each key, the current one first.
        secrets = [base64.b32encode(digest[:20]).decode() for digest in keys.derive("factor", nonce)]
        self._apps = [TOTP(secret, interval=STEP) for secret in secrets]
        self._recovery_codes = [
            [format_code(digest, _GROUPS) for digest in keys.derive(f"recovery{place}", nonce)]
            for place in range(RECOVERY_CODES)
        ]

    @property
    def secret(self) -> str:
        """The secret for the app, in Base32."""
        return str(self._apps[0].secret)

    @property
    def recovery_codes(self) -> list[str]:
        return [codes[0] for codes in self._recovery_codes]

    def uri(self, address: str, office: str) -> str:
        """Return the `otpauth:` URI that apps read from a QR code."""
        return str(self._apps[0].provisioning_uri(name=address, issuer_name=office))

    def step_of(self, typed: str, now: datetime) -> int | None:
        """Return the time step of this code of the app, or None if it is not valid now."""
        current = int(now.timestamp()) // STEP
        for step in range(current - _DRIFT, current + _DRIFT + 1):
            if any(codes_match(typed, app.generate_otp(step)) for app in self._apps):
                return step
        return None

    def place_of(self, typed: str) -> int | None:
        """Return the index of this recovery code, or None; blanks, hyphens and case are ignored."""
        for place, codes in enumerate(self._recovery_codes):
            if any(codes_match(typed, code) for code in codes):
                return place
        return None


def verify_login(tx: Transaction, login_session: LoginSession, typed: str) -> NewSession | None:
    """Return a full session in place of the one that awaits its code; None if the code is wrong.

    Each try is counted before the code is compared, so that parallel tries cannot exceed the limit. Raises SessionOver.
    """
    sessions.ensure_alive(tx, login_session)
    clerk = login_session.clerk
    if clerk is None or not login_session.awaits_code:
        raise SessionOver
    if not _verify(tx, clerk, typed):
        return None
    login_session.ended_at = tx.now
    return sessions.start(tx, clerk, login_session.device)


def confirm(tx: Transaction, clerk: Clerk, login_session: LoginSession, typed: str) -> NewSession | None:
    """Store that the second factor was entered afresh and return the session with a new token; None if it is wrong."""
    tx.lock(clerk)
    if not _verify(tx, clerk, typed):
        return None
    login_session.password_checked_at = tx.now
    tx.record("factor.proved", clerk)
    return sessions.renew_token(login_session)


def _verify(tx: Transaction, clerk: Clerk, typed: str) -> bool:
    """Return whether the code is right. A try is counted before it is compared, throttled as at the login."""
    key = _throttle_key(tx, clerk)
    if sessions.is_throttled(tx, key, check_source=False):
        tx.record("login.code_throttled", clerk)
        return False
    sessions.count_try(tx, key)
    if not _accepts(tx, clerk, typed):
        tx.record("login.code_wrong", clerk)
        return False
    sessions.clear_throttle(tx, key)
    return True


def set_up(tx: Transaction, clerk: Clerk, nonce: str, typed: str) -> None:
    """Store the nonce of a new second factor if the code shows that the app has its secret; raises WrongCode."""
    step = SecondFactor(tx.factor_keys, nonce).step_of(typed, tx.now)
    if step is None:
        raise WrongCode("factor.refused", clerk)
    clerk.factor_nonce, clerk.factor_step, clerk.recovery_codes_used = nonce, step, []
    sessions.clear_throttle(tx, _throttle_key(tx, clerk))
    tx.record("factor.set", clerk)


def _accepts(tx: Transaction, clerk: Clerk, typed: str) -> bool:
    """Return whether the code is valid and unused, and mark it as used (RFC 6238, 5.2)."""
    if clerk.factor_nonce is None:
        return False
    factor = SecondFactor(tx.factor_keys, clerk.factor_nonce)
    step, place = factor.step_of(typed, tx.now), factor.place_of(typed)
    if step is not None:
        unused = update(Clerk).where(Clerk.id == clerk.id, Clerk.factor_step < step)
        return rows_changed(tx.session, unused.values(factor_step=step)) == 1
    if place is None or place in clerk.recovery_codes_used:
        return False
    clerk.recovery_codes_used = [*clerk.recovery_codes_used, place]
    return True


def _throttle_key(tx: Transaction, clerk: Clerk) -> str:
    return tx.keys.fingerprint(f"codes:{clerk.id}")
