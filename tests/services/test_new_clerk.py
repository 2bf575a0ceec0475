"""Nobody comes to work at the desk without the admins hearing of it."""

import pytest

from kmzportal.services import clerks
from tests import people

pytestmark = pytest.mark.usefixtures("clock")
ROBIN = ("robin@kmz.example", "Robin Ostermann", "ob")


@pytest.mark.parametrize("admin", [True, False])
def test_all_admins_hear_of_somebody_new_whoever_did_it(backend, rosa, tim, admin):
    locked, second = people.person(people.TIM), people.person(people.TIM)
    for one, initials in ((locked, "lo"), (second, "se")):
        one.admin, one.initials = True, initials
        one.set_email(f"{initials}@kmz.example")
    locked.locked_at = people.LONG_AGO
    backend.add(locked), backend.add(second)
    backend.run(clerks.add, *ROBIN, admin, actor=f"clerk:{rosa.id}")
    told = [(mail.recipient, mail.facts) for mail in backend.mails("clerk_added")]
    assert told == [(rosa.email, {"initials": "ob"}), ("se@kmz.example", {"initials": "ob"})]


def test_no_number_of_other_mails_silences_the_news(backend, rosa):
    for _ in range(10):
        backend.run(lambda tx, to: tx.send("test", to), rosa)
    backend.run(clerks.add, *ROBIN, actor=f"clerk:{rosa.id}")
    assert [mail.recipient for mail in backend.mails("clerk_added")] == [rosa.email]


def test_the_first_one_of_all_is_news_to_nobody(backend):
    backend.run(clerks.add, *ROBIN, True, actor="console")
    assert backend.mails() == []
