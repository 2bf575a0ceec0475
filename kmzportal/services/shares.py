"""Slow work is done by few at a time, and those who ask for much of it do not keep others from their share.

Start-time fair queuing (Goyal, Vin and Chen, ACM SIGCOMM 1996): each turn gets a start tag, which is that of the turn
that began last, or one more than the tag of its holder's turn before. The smallest tag is next, so that holders take
turns however many requests each of them has waiting.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Condition, Event, Lock
from typing import NamedTuple

from kmzportal.services.refusals import SourceBusy, TooBusy


class Holder(NamedTuple):
    """Who asks: a source or, if `known`, a person who proved to be one, such as the holder of a session or a link."""

    name: str
    known: bool = False
    network: str = ""  #: the larger one that a source is in, where a person may have many sources

    @property
    def group(self) -> str:
        return self.network or self.name


@dataclass(eq=False)
class Turn:
    holder: Holder
    start: int
    begun: bool = False
    settled: Event = field(default_factory=Event)  #: it has begun, or was refused


class Shares:
    """Turns at `places` places. At most `each` turns of a holder wait, and `most` in all wait or run.

    Of these unknown holders have at most `strangers`, so that the others are left to known ones, who also come first
    among equals. When all are taken, the turn that would begin last makes room for one that would begin earlier, and
    among equals the newest of the network that has most makes room for another network.
    """

    def __init__(self, places: int, each: int, strangers: int, most: int):
        self.places, self.each, self.strangers, self.most = places, each, strangers, most
        self._lock = Lock()
        self._turns: list[Turn] = []  # that wait or run, in the order of their arrival
        self._now = 0  # the start tag of newcomers: that of the turn that began last, or later
        self._begun = 0  # turns since it changed
        self._next: dict[Holder, int] = {}  # start tag of a holder's next turn, where it is later than now

    @contextmanager
    def turn(self, holder: Holder) -> Iterator[None]:
        """Wait for a turn of this holder and occupy a place; raises TooBusy, at once or when pushed out."""
        turn = self.enter(holder)
        turn.settled.wait()
        if not turn.begun:
            raise TooBusy
        try:
            yield
        finally:
            self.leave(turn)

    def enter(self, holder: Holder) -> Turn:
        """Return a turn that may still have to wait until it is settled; raises TooBusy."""
        with self._lock:
            if sum(turn.holder == holder and not turn.begun for turn in self._turns) >= self.each:
                raise TooBusy
            strangers = [turn for turn in self._turns if not turn.holder.known]
            if not holder.known and len(strangers) >= self.strangers:
                self._push_out(strangers, holder)
            elif len(self._turns) >= self.most:
                self._push_out(self._turns, holder)
            turn = Turn(holder, max(self._now, self._next.get(holder, 0)))
            self._next[holder] = turn.start + 1
            self._turns.append(turn)
            self._begin_next()
            return turn

    def leave(self, turn: Turn) -> None:
        """Let the next turn begin in place of one that has begun."""
        with self._lock:
            self._turns.remove(turn)
            self._begin_next()

    def _push_out(self, turns: list[Turn], newcomer: Holder) -> None:
        """Refuse that of these turns which would begin last; raises TooBusy if that is the newcomer's."""
        held = Counter(turn.holder.group for turn in turns)
        newest = [turn for turn in reversed(turns) if not turn.begun]
        last = max(newest, key=lambda turn: (turn.start, held[turn.holder.group]), default=None)
        mine = self._next.get(newcomer, self._now), held[newcomer.group] + 1
        if last is None or (last.start, held[last.holder.group]) <= mine:
            raise TooBusy
        self._turns.remove(last)
        self._next[last.holder] -= 1
        last.settled.set()

    def _begin_next(self) -> None:
        waiting = [turn for turn in self._turns if not turn.begun]
        if waiting and len(self._turns) - len(waiting) < self.places:
            turn = min(waiting, key=lambda turn: (turn.start, not turn.holder.known))  # of equals the first
            self._begun += 1
            # Also after `most` turns: newcomers start now, and ever new ones would come before all others.
            if turn.start > self._now or self._begun >= self.most:
                self._now, self._begun = max(turn.start, self._now + 1), 0
                self._next = {holder: start for holder, start in self._next.items() if start > self._now}
            turn.begun = True
            turn.settled.set()


class Concurrency:
    """Under each name so many run at a time as it allows, and so many wait, for `seconds` at most.

    Unlike Shares, no name waits for another one, so a turn that waits for something else delays only its own name.
    """

    def __init__(self, seconds: float):
        self.seconds = seconds
        self._changed = Condition()
        self._running: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()

    @contextmanager
    def turn(self, limits: Mapping[str, tuple[int, int]]) -> Iterator[bool]:
        """Run under these names, each with how many run and wait; yields whether it waited. Raises TooBusy."""
        with self._changed:
            waits = not self._free(limits)
            if waits:
                self._wait(limits)
            self._running.update(limits.keys())
        try:
            yield waits
        finally:
            with self._changed:
                self._running -= Counter(limits.keys())  # and forgets names at zero
                self._changed.notify_all()

    def _free(self, limits: Mapping[str, tuple[int, int]]) -> bool:
        return all(self._running[name] < running for name, (running, _) in limits.items())

    def _wait(self, limits: Mapping[str, tuple[int, int]]) -> None:
        if any(self._waiting[name] >= waiting for name, (_, waiting) in limits.items()):
            raise TooBusy
        self._waiting.update(limits.keys())
        try:
            if not self._changed.wait_for(lambda: self._free(limits), self.seconds):
                raise TooBusy
        finally:
            self._waiting -= Counter(limits.keys())


class Pace:
    """One turn every `seconds` for each holder. At most `each` of a holder wait, and `most` in all of known holders.

    And as many of the others, which therefore never keep a known one out.
    """

    def __init__(self, seconds: float, each: int, most: int):
        self.seconds, self.each, self.most = seconds, each, most
        self._lock = Lock()
        self._next: dict[Holder, float] = {}  # when a holder's next turn may begin, where that is not now
        self._waiting = {True: 0, False: 0}  # by whether the holder is known

    def wait(self, holder: Holder) -> None:
        """Wait for the next turn of this holder; raises SourceBusy at once if too many wait."""
        with self._lock:
            now = time.monotonic()
            self._next = {other: at for other, at in self._next.items() if at > now}
            at = self._next.get(holder, now)
            if at - now > self.seconds * self.each or self._waiting[holder.known] >= self.most:
                raise SourceBusy
            self._next[holder] = at + self.seconds
            self._waiting[holder.known] += 1
        try:
            time.sleep(at - now)
        finally:
            with self._lock:
                self._waiting[holder.known] -= 1
