"""Turns at slow work: shared between holders, bounded for each and in all, and at a pace."""

import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from threading import Thread

import pytest

from kmzportal.services.refusals import SourceBusy, TooBusy
from kmzportal.services.shares import Concurrency, Holder, Pace, Shares

LOUD, SCHOOL, OTHER, *SOURCES = (Holder(f"192.0.2.{number}") for number in range(20))
CLERK, DEVICE = Holder("clerk:1", known=True), Holder("device:1", known=True)


@pytest.fixture
def shares():
    return Shares(places=1, each=8, strangers=12, most=16)


def finish(shares, turns):
    """End the turns one after another as they begin; return their holders in this order."""
    served, rest = [], list(turns)
    while begun := [turn for turn in rest if turn.begun]:
        served.append(begun[0].holder)
        rest.remove(begun[0])
        shares.leave(begun[0])
    assert rest == [], "all had their turn"
    return served


def enter(shares, *holders):
    return [shares.enter(holder) for holder in holders]


def test_who_asks_much_takes_turns_with_the_others(shares):
    turns = enter(shares, *[LOUD] * 6, SCHOOL, SCHOOL, OTHER)
    assert finish(shares, turns) == [LOUD, SCHOOL, OTHER, LOUD, SCHOOL, LOUD, LOUD, LOUD, LOUD]


def test_who_asks_again_at_once_does_not_come_before_those_who_wait(shares):
    waiting = enter(shares, *[SCHOOL] * 3)
    again = enter(shares, LOUD, OTHER)
    shares.leave(waiting[0])
    for _ in range(6):  # of two who always ask again, one always waits
        [begun] = [turn for turn in (*again, *waiting[1:]) if turn.begun]
        if begun in waiting:
            waiting.remove(begun)
        else:
            again[again.index(begun)] = shares.enter(begun.holder)
        shares.leave(begun)
    assert len(waiting) == 1, "both of the school's had their turn"


def test_a_known_holder_comes_next_and_has_places_that_strangers_do_not_take(shares):
    turns = enter(shares, *SOURCES[:12])
    with pytest.raises(TooBusy):
        shares.enter(SOURCES[12])
    turns += enter(shares, CLERK, DEVICE, CLERK, DEVICE)
    assert finish(shares, turns)[:4] == [SOURCES[0], CLERK, DEVICE, SOURCES[1]]


def test_strangers_push_nobody_out_of_the_places_of_known_holders(shares):
    turns = enter(shares, *SOURCES[:12], *[CLERK] * 4)
    with pytest.raises(TooBusy):
        shares.enter(SOURCES[12])
    mine = shares.enter(DEVICE)
    assert DEVICE in finish(shares, [*(turn for turn in turns if turn.begun or not turn.settled.is_set()), mine])


def test_ever_new_holders_do_not_keep_one_waiting_who_had_a_turn(shares):
    first = shares.enter(DEVICE)
    strangers = enter(shares, *SOURCES[:11])
    shares.leave(first)
    again, number = shares.enter(DEVICE), 0
    while not again.begun and number < 100:
        [begun] = [turn for turn in strangers if turn.begun]
        strangers.remove(begun)
        shares.leave(begun)
        number += 1
        strangers.append(shares.enter(Holder(f"198.51.100.{number}")))
    assert number <= 2 * shares.most


def test_of_one_holder_eight_wait_and_alone_it_uses_every_place():
    shares = Shares(places=2, each=8, strangers=12, most=16)
    turns = enter(shares, *[LOUD] * 10)
    assert [turn.begun for turn in turns].count(True) == 2
    with pytest.raises(TooBusy):
        shares.enter(LOUD)
    finish(shares, turns)
    assert shares.enter(LOUD).begun


def test_when_all_places_are_taken_one_who_had_a_turn_makes_room_for_one_who_had_none(shares):
    turns = enter(shares, *SOURCES[:12])
    shares.leave(turns[0])
    again = shares.enter(SOURCES[0])
    mine = shares.enter(SCHOOL)
    assert (again.settled.is_set(), again.begun) == (True, False)
    with pytest.raises(TooBusy):
        shares.enter(OTHER)
    assert SCHOOL in finish(shares, [*turns[1:], mine])


def test_when_all_places_are_taken_the_turn_that_would_begin_last_makes_room(shares):
    rows = enter(shares, *[LOUD] * 8, *[OTHER] * 4)
    mine = shares.enter(SCHOOL)
    assert [turn for turn in rows if turn.settled.is_set() and not turn.begun] == [rows[7]]
    enter(shares, *[SCHOOL] * 3)
    with pytest.raises(TooBusy):
        shares.enter(SCHOOL)
    assert sum(turn.settled.is_set() and not turn.begun for turn in rows) == 4, "all three have four now"
    assert not mine.begun and not mine.settled.is_set()


def test_many_sources_of_one_network_leave_room_for_others_and_take_turns_with_their_neighbours(shares):
    homes = [Holder(f"2001:db8:1:{number:x}00::/56", network="2001:db8:1::/48") for number in range(14)]
    turns = enter(shares, *homes[:6])
    neighbour = enter(shares, homes[13])
    turns += enter(shares, *homes[6:11])
    with pytest.raises(TooBusy):
        shares.enter(homes[11])
    others = enter(shares, LOUD, SCHOOL, OTHER)
    assert [turn for turn in turns if turn.settled.is_set() and not turn.begun] == turns[8:]
    served = finish(shares, [*turns[:8], *neighbour, *others])
    assert served.index(homes[13]) == 6, "in the order of their arrival"


def test_at_a_pace_one_turn_begins_after_another_and_few_wait():
    pace = Pace(0.4, each=2, most=3)

    def wait(holder):
        """Return the seconds it took to get a turn, or None."""
        asked = time.monotonic()
        try:
            pace.wait(holder)
        except SourceBusy:
            return None
        return time.monotonic() - asked

    for holder in (LOUD, SCHOOL, OTHER):
        assert wait(holder) < 0.2, "the first turn of a holder, whatever others do"
    with ThreadPoolExecutor(10) as threads:
        turns = [threads.submit(wait, holder) for holder in (*[LOUD] * 4, SCHOOL, OTHER)]
    loud = [turn.result() for turn in turns[:4]]
    assert loud.count(None) == 2 and sorted(filter(None, loud))[1] > 0.5
    assert [turn.result() for turn in turns[4:]].count(None) == 1, "three wait in all"


def test_at_a_pace_strangers_who_wait_leave_places_to_known_holders():
    pace = Pace(1, each=2, most=2)
    known = SCHOOL._replace(known=True)
    for holder in (LOUD, OTHER, known):
        pace.wait(holder)
    with ThreadPoolExecutor(3) as threads:
        strangers = [threads.submit(pace.wait, holder) for holder in (LOUD, OTHER, LOUD)]
        [refused] = wait(strangers, timeout=20, return_when=FIRST_COMPLETED).done
        assert isinstance(refused.exception(), SourceBusy), "two of them wait"
        pace.wait(known)


# Concurrency


def test_under_a_name_so_many_run_as_it_allows_and_as_many_more_wait():
    running, order = Concurrency(seconds=30), []

    def run(number):
        with running.turn({"session": (1, 1), "person": (2, 2)}):
            order.append(number)

    with running.turn({"session": (1, 1), "person": (2, 2)}):
        waiting = Thread(target=run, args=("waits",))
        waiting.start()
        while not running._waiting["session"]:
            time.sleep(0.01)
        began = time.monotonic()
        with pytest.raises(TooBusy), running.turn({"session": (1, 1), "person": (2, 2)}):
            pass
        assert time.monotonic() - began < 15, "at once, not after the time that others wait"
        with running.turn({"another session": (1, 1), "person": (2, 2)}):
            order.append("another session")
        with running.turn({"another person": (1, 1)}):
            order.append("another person")
    waiting.join(30)
    assert order == ["another session", "another person", "waits"]
    assert not running._running and not running._waiting, "no name is kept"


def test_who_waits_too_long_is_refused():
    running = Concurrency(seconds=0)
    with running.turn({"session": (1, 1)}), pytest.raises(TooBusy), running.turn({"session": (1, 1)}):
        pass
    with running.turn({"session": (1, 1)}):
        assert not running._waiting
