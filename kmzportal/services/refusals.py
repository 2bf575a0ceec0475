"""The portal says no, and nothing is broken. Each refusal may carry a deed that must stay on record."""

from typing import Any


class Refusal(Exception):
    """A rule was not met. `record` names the deed, `about` the person, written although the rest is undone."""

    def __init__(self, record: str | None = None, about: Any = None, **details: Any):
        super().__init__(type(self).__name__)
        self.record = record
        self.about = about
        self.details = details


class TooBusy(Refusal):
    """More people log in at this moment than can be served."""


class WeakPassword(Refusal):
    """The new password is too short, too long, common, or contains what anybody knows; `reason` is German."""

    def __init__(self, reason: str):
        super().__init__()
        self.reason = reason


class WrongCode(Refusal):
    """The code is not one of the app that is being set up."""


class SessionOver(Refusal):
    """The session ended while the request was under way."""


class LinkUnusable(Refusal):
    """The link is unknown, over, or another was quicker."""


class AddressTaken(Refusal):
    """The mail address belongs to somebody else."""


class AccountLocked(Refusal):
    """The office has locked the account; only the office opens it again."""


class UnknownCustomer(Refusal):
    """No customer has this mail address."""


class ChangedMeanwhile(Refusal):
    """Somebody else saved the same record in the meantime."""


class TooManyMails(Refusal):
    """The recipient has had as many mails today as are good for anybody."""
