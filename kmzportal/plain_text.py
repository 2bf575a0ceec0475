"""Text as people meant it, without what programs leave in it, and the form in which Kundennummern are compared."""

import re
import unicodedata

#: Unicode's Default_Ignorable_Code_Point (UAX 44): soft hyphen, zero width, direction of text, byte order mark.
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
BLANK = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
DASH = re.compile("[\u2010-\u2015\u2212]")


def clean(text: str) -> str:
    """Return the text composed (NFC), without invisible characters and surrounding blanks; all blanks are plain ones.

    Control characters and line breaks stay, so that whoever reads the text can refuse them.
    """
    if not text.isascii():
        text = BLANK.sub(" ", INVISIBLE.sub("", unicodedata.normalize("NFC", text)))
    return text.strip(" ")


def canonical_number(number: str) -> str:
    """Return the form in which Kundennummern are compared: `K-1`, `k‑1` and `K–1` are one. Never shown."""
    plain = DASH.sub("-", clean(unicodedata.normalize("NFKC", number)))
    return unicodedata.normalize("NFKC", " ".join(plain.split()).casefold())
