"""A mail address as people type it, as it is kept, and as it is compared."""

import re
import unicodedata
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email

INVISIBLE = re.compile(r"[\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
NAMED = re.compile(r"^[^<>]*<([^<>]+)>$")
SCHEME = re.compile(r"^\s*mailto:", re.IGNORECASE)
LONGEST = 254  # RFC 5321, 4.5.3.1.3


class NotAnAddress(ValueError):
    """The text cannot be a mail address."""


@lru_cache(maxsize=32)  # whoever asks for an address mostly asks for its canonical form too
def understand(text: str) -> str:
    """Return the address in what was pasted: blanks, `mailto:` and `Name <mail>` are taken off.

    Keeps the local part as it was typed. Raises NotAnAddress.
    """
    if len(text) > LONGEST * 4 or "=?" in text:  # an encoded word (RFC 2047) would change what the header says
        raise NotAnAddress(text[:LONGEST])
    text = INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).strip()
    named = NAMED.match(text)
    try:
        valid = validate_email(
            SCHEME.sub("", named[1] if named else text).strip().rstrip("."),
            allow_smtputf8=False,
            check_deliverability=False,
            test_environment=True,  # the school without a registered domain exists, and so do examples
        )
    except EmailNotValidError:
        raise NotAnAddress(text) from None
    return valid.normalized


def canonical(address: str) -> str:
    """Return the form in which addresses are compared: A-label domain, all case-folded; never mailed to.

    RFC 5321, 2.4 leaves the case of the local part to its host; nobody's host tells two people apart by it.
    Raises NotAnAddress.
    """
    local, _, domain = understand(address).rpartition("@")
    return f"{local.casefold()}@{_ascii(domain)}"


def mailable(address: str) -> str:
    """Return the form a mail server takes: the local part as it stands, the domain as A-label; raises NotAnAddress."""
    local, _, domain = understand(address).rpartition("@")
    return f"{local}@{_ascii(domain)}"


@lru_cache(maxsize=4096)
def _ascii(domain: str) -> str:
    """Return the A-label form; an import meets the same few hundred domains again and again."""
    valid = validate_email(f"a@{domain}", check_deliverability=False, test_environment=True)
    return valid.ascii_domain.lower()
