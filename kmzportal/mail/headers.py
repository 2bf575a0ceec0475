"""Subject and sender folded by the older, correct encoder.

Python's newer one (3.11 to 3.13 tried) loses blanks between two folded words, and loses the quotes of a long name:
`Schule, Bildung` becomes two senders.
"""

import re
from email.header import Header
from email.headerregistry import HeaderRegistry, UniqueSingleAddressHeader, UniqueUnstructuredHeader
from email.policy import SMTP
from typing import Any

LONGEST_LINE = 76  # RFC 2045, 6.7 and RFC 2047, 2; the library's 78 is for lines that are not encoded


class Subject(UniqueUnstructuredHeader):
    def fold(self, *, policy: Any) -> str:
        return f"Subject: {_encoded(str(self), 'Subject')}\r\n"


class Sender(UniqueSingleAddressHeader):
    def fold(self, *, policy: Any) -> str:
        name, address = self.address.display_name, self.address.addr_spec
        return f"From: {_encoded(name, 'From')}\r\n <{address}>\r\n"


def _encoded(text: str, header: str) -> str:
    charset = "us-ascii" if re.fullmatch(r"[\w &'/+-]*", text, re.ASCII) else "utf-8"
    return Header(text, charset, LONGEST_LINE, header).encode(linesep="\r\n")


_registry = HeaderRegistry()
_registry.map_to_type("subject", Subject)  # type: ignore[arg-type]
_registry.map_to_type("from", Sender)  # type: ignore[arg-type]
POLICY = SMTP.clone(max_line_length=LONGEST_LINE, header_factory=_registry)
