"""Text as people meant it, without what programs leave in it, and the form in which Kundennummern are compared."""

import re
import unicodedata
from typing import Literal

#: Unicode's Default_Ignorable_Code_Point (UAX 44): soft hyphen, zero width, direction of text, byte order mark.
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
#: What no text may contain (general categories Cc, Zl, Zp, Cs, Co, and noncharacters): forms, imports, mail addresses
#: and the command line refuse it, received mails are read without it. The other unfit characters are INVISIBLE.
UNFIT = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef\ufff9-\ufffc\ufffe\uffff"
    "\U0001fffe\U0001ffff\U0002fffe-\U0002ffff\U000f0000-\U0010ffff]"
)
UNFIT_IN_LINES = re.compile(rf"(?![\n\t]){UNFIT.pattern}")
BLANK = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
LONGEST_RUN = 30
DASH = re.compile("[\u2010-\u2015\u2212]")


def clean(text: str) -> str:
    """Return the text composed (NFC), without invisible characters and surrounding blanks; all blanks are plain ones.

    What is UNFIT stays, line breaks among it, so that whoever reads the text can refuse it.
    """
    if not text.isascii():
        # Removed first, as between the marks of one letter they would hide their number.
        text = BLANK.sub(" ", normalize("NFC", INVISIBLE.sub("", text)))
    return text.strip(" ")


def normalize(form: Literal["NFC", "NFKC", "NFKD"], text: str) -> str:
    """Return the text in this Unicode form, with at most LONGEST_RUN marks on one letter (UAX 15, 13).

    The library sorts the marks in a time quadratic in their number: 64 KB of them would stop a process for seconds.
    """
    if len(text) <= LONGEST_RUN or text.isascii():
        return unicodedata.normalize(form, text)
    run, kept = 0, []
    for character in text:  # some marks count as letters until they are decomposed
        run = run + 1 if unicodedata.combining(unicodedata.normalize("NFKD", character)[0]) else 0
        if run <= LONGEST_RUN:
            kept.append(character)
    return unicodedata.normalize(form, "".join(kept))


def clean_lines(text: str) -> str:
    """Return a text of several lines with no other unfit characters than line breaks and tabs."""
    return clean(UNFIT_IN_LINES.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


#: Letters of any script, blanks, and the signs in names; a mail program would make a link of `a.bc`.
NAME = re.compile(r"(?!.*\.[^\W\d_]{2})(?:[^\W\d_]|[ .,'’()·-])+")
LONGEST_NAME = 40


def is_name(text: str) -> bool:
    """Return whether the text looks like the name of a person, and not like a message or an address."""
    plain = normalize("NFKC", text)
    return len(plain) <= LONGEST_NAME and "www." not in plain.casefold() and bool(NAME.fullmatch(plain))


def canonical_number(number: str) -> str:
    """Return the form in which Kundennummern are compared: `K-1`, `k‑1` and `K–1` are one. Never shown."""
    plain = DASH.sub("-", clean(normalize("NFKC", number)))
    return normalize("NFKC", " ".join(plain.split()).casefold())
