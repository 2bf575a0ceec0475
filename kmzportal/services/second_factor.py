"""The second factor of a clerk: a code from an app (TOTP, RFC 6238), or one of ten recovery codes.

Secret and codes derive by HMAC from FACTOR_KEY and a random nonce, like the token of a link: the database holds no
secret. Codes of an older key are accepted as long as it is in FACTOR_KEY_FALLBACKS.
"""

import base64
import re
import secrets
from datetime import datetime, timedelta

from pyotp import TOTP
from sqlalchemy import func, select, update

from kmzportal.models import ENDS_WITH_PASSWORD, AuditEvent, Clerk, LinkState, LoginSession
from kmzportal.services import devices, links, sessions
from kmzportal.services.refusals import ChangedMeanwhile, SessionOver, WrongCode
from kmzportal.services.sessions import NewSession
from kmzportal.services.tokens import LinkKeys, codes_match, format_code, normalize_code
from kmzportal.services.transaction import Transaction, rows_changed

STEP = 30  # seconds
_DRIFT = 1  # steps that the clock of a phone may be early or late (RFC 6238, 5.2)
RECOVERY_CODES = 10
APP_CODE = re.compile("[0-9]{6}")
FREE_TOGETHER = 100  # wrong codes from all unknown devices, before they wait for each other
LONGEST_SHARED_WAIT = 24 * 3600  # seconds, of one place that is no known device
WARN_AT = 3  # wrong codes in a day
_GROUPS = 4  # of four characters with 5 bits each: 80 bits per code


class SecondFactor:
    def __init__(self, keys: LinkKeys, nonce: str, recovery_nonce: str | None = None):
        """`recovery_nonce`: of codes that were made later than the secret."""
        #: For each key, the current one first.
        digests = keys.derive("factor", nonce)
        self._apps = [TOTP(base64.b32encode(digest[:20]).decode(), interval=STEP) for digest in digests]
        self._recovery_codes = [
            [format_code(digest, _GROUPS) for digest in keys.derive(f"recovery{place}", recovery_nonce or nonce)]
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
    # A known device has its own count, so that whoever knows the password cannot use up the owner's tries.
    known = devices.find(tx, clerk)
    place = f"device:{known.id}" if known else f"source:{tx.source}"
    if not _verify(tx, clerk, typed, place, shared=known is None):
        return None
    login_session.ended_at = tx.now
    return sessions.start(tx, clerk, login_session.device)


def confirm(tx: Transaction, clerk: Clerk, login_session: LoginSession, typed: str) -> NewSession | None:
    """Store that the second factor was entered afresh and return the session with a new token; None if it is wrong."""
    tx.lock(clerk)
    if not _verify(tx, clerk, typed, f"session:{login_session.id}"):
        return None
    login_session.password_checked_at = tx.now
    tx.record("factor.proved", clerk)
    return sessions.renew_token(login_session)


def _verify(tx: Transaction, clerk: Clerk, typed: str, place: str, shared: bool = False) -> bool:
    """Return whether the code is right. A try is counted before it is compared, and every wait ends.

    Counted for the place, where codes of the app and recovery codes count apart. With `shared` the first tries at each
    place also count together, so that many sources cannot guess the six digits (NIST SP 800-63B-4, 3.2.2). A place's
    further tries count for it alone, or a single source would keep all others waiting; so its waits grow longer.
    """
    kind = "app" if APP_CODE.fullmatch(normalize_code(typed)) else "recovery"
    key, together = (tx.keys.fingerprint(f"codes:{clerk.factor_nonce}:{kind}:{where}") for where in (place, "all"))
    longest = LONGEST_SHARED_WAIT if shared else None
    if sessions.is_throttled(tx, key, disables=False, longest=longest) or (
        shared and sessions.is_throttled(tx, together, disables=False, free=FREE_TOGETHER)
    ):
        if tx.count(f"throttled:{together}", tx.hour) == 1:
            tx.record("login.code_throttled", clerk)
        return False
    if sessions.count_try(tx, key) <= tx.settings["THROTTLE_FREE_FAILURES"] and shared:
        sessions.count_try(tx, together)
    if not _accepts(tx, clerk, typed):
        tx.record("login.code_wrong", clerk)
        _warn(tx, clerk)
        return False
    sessions.clear_throttle(tx, key)
    if shared:  # otherwise strangers could begin anew each time the clerk enters a code on a known device
        sessions.clear_throttle(tx, together)
    return True


def _warn(tx: Transaction, clerk: Clerk) -> None:
    """Mail the clerk and all admins at the third wrong code in a day, once a day: the password is known."""
    wrong, warned = (
        select(func.count()).where(
            AuditEvent.clerk_id == clerk.id, AuditEvent.action == action, AuditEvent.at > tx.now - timedelta(days=1)
        )
        for action in ("login.code_wrong", "login.codes_warned")
    )
    if (tx.session.scalar(wrong) or 0) < WARN_AT or tx.session.scalar(warned):
        return
    tx.record("login.codes_warned", clerk)
    tx.warn("clerk_password_known", clerk)
    admins = select(Clerk).where(Clerk.admin, Clerk.locked_at.is_(None), Clerk.id != clerk.id)
    for admin in tx.session.scalars(admins.order_by(Clerk.id)):
        tx.warn("clerk_codes_guessed", admin, initials=clerk.initials)


def set_up(tx: Transaction, clerk: Clerk, nonce: str, typed: str) -> None:
    """Store the nonce of a new second factor if the code shows that the app has its secret; raises WrongCode."""
    step = SecondFactor(tx.factor_keys, nonce).step_of(typed, tx.now)
    if step is None:
        raise WrongCode("factor.refused", clerk)
    clerk.factor_nonce, clerk.factor_step = nonce, step
    clerk.recovery_nonce, clerk.recovery_codes_used = None, []
    tx.record("factor.set", clerk)


def renew(tx: Transaction, clerk: Clerk, login_session: LoginSession, nonce: str, typed: str) -> NewSession:
    """Set up another app, and end all other access as a new password does; raises WrongCode."""
    set_up(tx, clerk, nonce, typed)
    sessions.end_all(tx, clerk, keep=login_session)
    devices.end_all(tx, clerk, keep_this=True)
    links.end(tx, clerk, LinkState.REPLACED, ENDS_WITH_PASSWORD)
    tx.warn("clerk_access_changed", clerk, changed="factor")
    return sessions.renew_token(login_session)


def renew_recovery_codes(tx: Transaction, clerk: Clerk) -> list[str]:
    """Return ten new recovery codes; those before are no longer valid. Raises ChangedMeanwhile without an app."""
    tx.lock(clerk)
    if clerk.factor_nonce is None:
        raise ChangedMeanwhile
    clerk.recovery_nonce, clerk.recovery_codes_used = secrets.token_urlsafe(32), []
    tx.record("factor.codes_renewed", clerk)
    tx.warn("clerk_access_changed", clerk, changed="codes")
    return SecondFactor(tx.factor_keys, clerk.factor_nonce, clerk.recovery_nonce).recovery_codes


def nonce_for(keys: LinkKeys, login_session: LoginSession, clerk: Clerk) -> str:
    """Return the nonce of the app that a clerk sets up in this session: the same until a factor is set up."""
    started = login_session.started_at.timestamp()
    return keys.fingerprint(f"factor:{login_session.id}:{started}:{clerk.factor_nonce}")


def _accepts(tx: Transaction, clerk: Clerk, typed: str) -> bool:
    """Return whether the code is valid and unused, and mark it as used (RFC 6238, 5.2)."""
    if clerk.factor_nonce is None or tx.settings["STAFF_SECOND_FACTOR"] == "passkey":
        return False
    factor = SecondFactor(tx.factor_keys, clerk.factor_nonce, clerk.recovery_nonce)
    step, place = factor.step_of(typed, tx.now), factor.place_of(typed)
    if step is not None:
        unused = update(Clerk).where(Clerk.id == clerk.id, Clerk.factor_step < step)
        return rows_changed(tx.session, unused.values(factor_step=step)) == 1
    if place is None or place in clerk.recovery_codes_used:
        return False
    clerk.recovery_codes_used = [*clerk.recovery_codes_used, place]
    return True
