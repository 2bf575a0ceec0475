"""Nobody comes to work at the desk without the admins hearing of it."""

import pytest

from kmzportal.services import clerks
from tests import cast

pytestmark = pytest.mark.usefixtures("clock")
ROBIN = ("robin@kmz.example", "Robin Ostermann", "ob")


@pytest.mark.parametrize("admin", [True, False])
def test_all_admins_hear_of_somebody_new_whoever_did_it(deeds, rosa, tim, admin):
    locked, second = cast.person(cast.TIM), cast.person(cast.TIM)
    for one, initials in ((locked, "lo"), (second, "se")):
        one.admin, one.initials = True, initials
        one.move_to(f"{initials}@kmz.example")
    locked.locked_at = cast.LONG_AGO
    deeds.enter(locked), deeds.enter(second)
    deeds.do(clerks.add, *ROBIN, admin, actor=f"clerk:{rosa.id}")
    told = [(mail.recipient, mail.facts) for mail in deeds.mails("clerk_added")]
    assert told == [(rosa.email, {"initials": "ob"}), ("se@kmz.example", {"initials": "ob"})]


def test_no_number_of_other_mails_silences_the_news(deeds, rosa):
    for _ in range(10):
        deeds.do(lambda work, to: work.send("test", to), rosa)
    deeds.do(clerks.add, *ROBIN, actor=f"clerk:{rosa.id}")
    assert [mail.recipient for mail in deeds.mails("clerk_added")] == [rosa.email]


def test_the_first_one_of_all_is_news_to_nobody(deeds):
    deeds.do(clerks.add, *ROBIN, True, actor="console")
    assert deeds.mails() == []
