"""A mail address as people type it, as it is kept, and as it is compared."""

import re
import unicodedata
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email
from rapidfuzz.distance import OSA

INVISIBLE = re.compile(r"[\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
NAMED = re.compile(r"^[^<>]*<([^<>]+)>$")
SCHEME = re.compile(r"^\s*mailto:", re.IGNORECASE)
MAX_LENGTH = 254  # RFC 5321, 4.5.3.1.3


class InvalidAddress(ValueError):
    """The text cannot be a mail address."""


@lru_cache(maxsize=32)  # whoever asks for an address mostly asks for its canonical form too
def parse(text: str) -> str:
    """Return the address in what was pasted: blanks, `mailto:` and `Name <mail>` are taken off.

    Keeps the local part as it was typed. Raises NotAnAddress.
    """
    if len(text) > MAX_LENGTH * 4 or "=?" in text:  # an encoded word (RFC 2047) would change what the header says
        raise InvalidAddress(text[:MAX_LENGTH])
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
        raise InvalidAddress(text) from None
    return valid.normalized


def canonical(address: str) -> str:
    """Return the form in which addresses are compared: A-label domain, all case-folded; never mailed to.

    RFC 5321, 2.4 leaves the case of the local part to its host; nobody's host tells two people apart by it.
    Raises NotAnAddress.
    """
    local, _, domain = parse(address).rpartition("@")
    return f"{local.casefold()}@{_ascii(domain)}"


def mailable(address: str) -> str:
    """Return the form a mail server takes: the local part as it stands, the domain as A-label; raises NotAnAddress."""
    local, _, domain = parse(address).rpartition("@")
    return f"{local}@{_ascii(domain)}"


@lru_cache(maxsize=4096)
def _ascii(domain: str) -> str:
    """Return the A-label form; an import meets the same few hundred domains again and again."""
    valid = validate_email(f"a@{domain}", check_deliverability=False, test_environment=True)
    return valid.ascii_domain.lower()


#: Providers at which anybody gets an address under any name.
PROVIDERS = """
aol.com aol.de arcor.de email.de freenet.de gmail.com gmx.at gmx.ch gmx.com gmx.de gmx.net googlemail.com hotmail.com
hotmail.de icloud.com live.de mail.com mail.de mailbox.org me.com msn.com outlook.com outlook.de posteo.de proton.me
protonmail.com t-online.de web.de yahoo.com yahoo.de
"""
FREE_MAIL = frozenset(PROVIDERS.split())


def domain_of(address: str) -> str:
    return address.rpartition("@")[2].casefold()


def is_free_mail(address: str) -> bool:
    return domain_of(address) in FREE_MAIL


def suggest_correction(address: str) -> str | None:
    """Return the address with the well-known domain that is one typo away, or None."""
    if is_free_mail(address):
        return None
    near = sorted(known for known in FREE_MAIL if OSA.distance(domain_of(address), known) == 1)
    return f"{address.rpartition('@')[0]}@{near[0]}" if near else None
