"""Telephone numbers as people write them: the URI to dial, and the digits to search for."""

import re
import unicodedata

DIALLED = re.compile(r"[\d\s+()/.‐-―-]*")  # what follows, such as "ab 14 Uhr", is no part of the number


def uri(number: str) -> str:
    """Return the `tel:` URI (RFC 3966): global, or for numbers without area code, such as 115, local to Germany."""
    dialled = DIALLED.match(unicodedata.normalize("NFKC", number).replace("(0)", ""))
    plain = re.sub(r"[^0-9+]", "", dialled[0] if dialled else "")
    plain = re.sub(r"^(\+|00)490?", "+49", plain)
    plain = re.sub(r"^00", "+", plain)
    plain = re.sub(r"^0", "+49", plain)
    return f"tel:{plain}" if plain.startswith("+") else f"tel:{plain};phone-context=+49"


def digits(number: str) -> str:
    """Return the digits as dialled within Germany."""
    return re.sub(r"\D", "", re.sub(r"^\s*(\+|00)49\s*(\(0\))?", "0", number))
