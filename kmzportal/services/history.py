"""Verlauf: the events of one account by day, the latest first; what belongs to one link is one line."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime

from kmzportal.dates import BERLIN
from kmzportal.models import SEQUENCES, STEPS, AuditEvent, LinkKind

#: Actions that begin a new line of their kind.
BEGINNINGS = {
    "recovery.sent": LinkKind.RECOVERY,
    "recovery.extra": LinkKind.RECOVERY,
    "link.sent": LinkKind.DESK,
    "address.corrected": LinkKind.DESK,
    "address.change_asked": LinkKind.ADDRESS,
    "letter.handed_over": LinkKind.LETTER,
    "letter.posted": LinkKind.LETTER,
}
#: Actions of one kind of link that do not name it. Only links of the desk have a robot check.
CONTINUATIONS = {
    "recovery.locked": LinkKind.RECOVERY,
    "recovery.capped": LinkKind.RECOVERY,
    "letter.refused": LinkKind.LETTER,
    **dict.fromkeys(("link.code_right", "link.code_wrong", "puzzle.solved", "puzzle.failed"), LinkKind.DESK),
}
USES = ("link.opened", "link.redeemed")  # by the holder of the link, who is the actor of what follows
ADDRESS_CHANGES = ("address.change_asked", "address.corrected")


@dataclass
class Line:
    """Events of one link on one day, oldest first; or equal events, one after another."""

    kind: str | None
    events: list[AuditEvent] = field(default_factory=list)

    @property
    def since(self) -> datetime:
        return self.events[0].at

    @property
    def until(self) -> datetime:
        return self.events[-1].at

    @property
    def text(self) -> str:
        """What happened, in German, such as `Passwort vergessen: Link gesendet, geöffnet, Passwort gesetzt`."""
        named = [event for event in self.events if STEPS.get(event.action, event.label)] or self.events[-1:]
        steps = Counter(STEPS.get(event.action, event.label) for event in named)
        if len(steps) == 1:
            return _times(named[0].label, len(named))
        return f"{SEQUENCES[self.kind or '']}: {', '.join(_times(step, number) for step, number in steps.items())}"

    @property
    def remark(self) -> str:
        return " – ".join(dict.fromkeys(event.remark for event in self.events if event.remark))

    @property
    def mails(self) -> list[str]:
        """The templates of the mails, where the text names no link that they are about."""
        templates = (event.details.get("template") for event in self.events if not self.kind)
        return list(dict.fromkeys(filter(None, templates)))

    @property
    def actors(self) -> list[str]:
        return list(dict.fromkeys(event.actor_label for event in self.events))

    @property
    def actors_for_desk(self) -> list[str]:
        return list(dict.fromkeys(event.actor_label_for_desk for event in self.events))


def _times(text: str, number: int) -> str:
    return f"{text} ({number}-mal)" if number > 1 else text


def by_day(events: Iterable[AuditEvent]) -> list[tuple[date, list[Line]]]:
    """Return the lines of each day in Berlin, the latest first."""
    events = sorted(events, key=lambda event: (event.at, event.id))
    kinds = _kinds(events)
    # The events of one act have the same time, and the one that begins the line need not be the first of them.
    begun = {(event.at, BEGINNINGS[event.action]) for event in events if event.action in BEGINNINGS}
    days: dict[date, list[Line]] = {}
    for event in events:
        lines, kind = days.setdefault(event.at.astimezone(BERLIN).date(), []), kinds[event.id]
        if kind:
            line = next((line for line in reversed(lines) if line.kind == kind), None)
            begins = (event.at, kind) in begun and line is not None and line.until != event.at
        else:
            line, begins = (lines[-1], not _equal(lines[-1].events[-1], event)) if lines else (None, False)
        if line is None or begins or line.kind != kind:
            line = Line(kind)
            lines.append(line)
        line.events.append(event)
    return [
        (day, sorted(lines, key=lambda line: (line.until, line.events[-1].id), reverse=True))
        for day, lines in reversed(days.items())
    ]


def _kinds(events: Iterable[AuditEvent]) -> dict[int, str | None]:
    """Return the kind of link that each event belongs to, by its id; None for one of no sequence."""
    named = {event.id: event.details.get("kind") or _kind_of_template(event) for event in events}
    links = {event.actor: named[event.id] for event in events if event.action in USES}
    changes = {event.at: BEGINNINGS[event.action] for event in events if event.action in ADDRESS_CHANGES}
    kinds: dict[int, str | None] = {}
    for event in events:
        kind = BEGINNINGS.get(event.action) or CONTINUATIONS.get(event.action) or named[event.id]
        kind = kind or links.get(event.actor)
        if kind == LinkKind.OBJECTION and event.action == "link.issued":  # with the notice of this change
            kind = changes.get(event.at, kind)
        kinds[event.id] = str(kind) if kind in SEQUENCES else None
    return kinds


def _kind_of_template(event: AuditEvent) -> str | None:
    template = str(event.details.get("template", ""))
    return template.removesuffix("_link") if template.endswith("_link") else None


def _equal(one: AuditEvent, other: AuditEvent) -> bool:
    return (one.label, one.remark, one.actor) == (other.label, other.remark, other.actor)
