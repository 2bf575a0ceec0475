"""What must be true of the code: one module knows htmx, and history has words for each deed."""

import re
from pathlib import Path

import pytest

import kmzportal
from kmzportal.models.audit_event import ACTIONS, ACTORS
from tests.house_rules.records import recorded

pytestmark = pytest.mark.usefixtures("clock")
PACKAGE = Path(kmzportal.__file__).parent


def test_only_one_module_knows_htmx():
    knowing = [path.name for path in PACKAGE.rglob("*.py") if re.search(r"['\"]HX-", path.read_text("utf-8"))]
    assert knowing == ["pages.py"]


def test_history_has_words_for_every_deed():
    written = set(recorded())
    assert {"password.changed", "link.redeemed", "address.objected", "mail.capped"} <= written
    assert written - set(ACTIONS) == set()
    assert set(ACTORS) == {"customer", "clerk", "link", "visitor", "worker", "console"}
