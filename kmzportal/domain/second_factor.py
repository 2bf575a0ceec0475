"""The second factor of a clerk: a code from an app (TOTP, RFC 6238), or one of ten codes on paper.

All of it derives by HMAC from LINK_KEY and a random nonce, as a link's token does: the database holds no secret. What
was made under an older key is still taken while that key stands in LINK_KEY_FALLBACKS.
"""

import base64
import hmac
from datetime import datetime

from pyotp import TOTP

from kmzportal.domain.account_link import LinkKeys, plain, spelled

STEP = 30  # seconds
DRIFT = 1  # steps that the clock of a telephone may be wrong, either way
RECOVERY_CODES = 10
GROUPS = 4  # of four signs with 5 bits each: 80 bits a code


class SecondFactor:
    def __init__(self, keys: LinkKeys, nonce: str):
        secrets = [base64.b32encode(digest[:20]).decode() for digest in keys.derive("factor", nonce)]
        self._apps = [TOTP(secret, interval=STEP) for secret in secrets]
        places = [keys.derive(f"recovery{place}", nonce) for place in range(RECOVERY_CODES)]
        self._on_paper = [[spelled(digest, GROUPS) for digest in digests] for digests in places]

    @property
    def secret(self) -> str:
        """What an app is given, in Base32."""
        return str(self._apps[0].secret)

    @property
    def recovery_codes(self) -> list[str]:
        return [codes[0] for codes in self._on_paper]

    def uri(self, address: str, office: str) -> str:
        """Return the secret as apps read it from a QR code."""
        return str(self._apps[0].provisioning_uri(name=address, issuer_name=office))

    def step_of(self, typed: str, now: datetime) -> int | None:
        """Return the step of time that this code of the app belongs to, if it is one of the present."""
        present = int(now.timestamp()) // STEP
        for step in range(present - DRIFT, present + DRIFT + 1):
            if any(_same(typed, app.generate_otp(step)) for app in self._apps):
                return step
        return None

    def place_of(self, typed: str) -> int | None:
        """Return which of the ten codes this is, if any; blanks, hyphens and case are forgiven."""
        places = (place for place, codes in enumerate(self._on_paper) if any(_same(typed, code) for code in codes))
        return next(places, None)


def _same(typed: str, code: str) -> bool:
    return hmac.compare_digest(plain(typed).encode(), plain(code).encode())
