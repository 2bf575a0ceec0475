"""Deeds that Rosa does at the desk."""

import pytest

from kmzportal.domain.account_link import LinkKind
from kmzportal.services import desk
from tests.services.links import newest

NEW = "erika@neue-schule.example"


@pytest.fixture
def rosas(deeds):
    """Let Rosa do a deed, as the web does it on her behalf."""

    def do(deed, *what, now=None):
        with deeds.work("clerk:1") as work:
            work.initials = "ro"
            return deed(work, *(work.session.get(type(one), one.id) if hasattr(one, "id") else one for one in what))

    return do


@pytest.fixture
def corrected(rosas, deeds, erika):
    """Rosa corrected Erika's address; the link that was mailed to the new one."""
    rosas(desk.correct_address, erika, erika.version, NEW, "callback", "Sekretariat")
    return newest(deeds, LinkKind.DESK)
