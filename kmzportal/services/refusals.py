"""Exceptions that services raise when a rule forbids the action. They are shown to the user and may be recorded.

`message` is the German text for the page, `field` the form field it belongs to (empty: the whole form).
"""

from typing import Any, ClassVar


class Refusal(Exception):
    """A rule forbids the action.

    `record` is an audit action that is written although the transaction is rolled back, with person `about` and
    `details`, or only the first time in an hour. `message` replaces the text of the class.
    """

    message: str = "Das ist nicht möglich."
    field: ClassVar[str] = ""
    once_an_hour: ClassVar[bool] = False

    def __init__(self, record: str | None = None, about: Any = None, *, message: str | None = None, **details: Any):
        super().__init__(type(self).__name__)
        self.record = record
        self.about = about
        self.details = details
        self.message = message or self.message


class OperationRefused(Exception):
    """A command or the start of the portal cannot go on; the text is German and names the reason and the cure."""


class TooBusy(Refusal):
    """Too many ask for the same slow work, such as the hash of a password, at the same time."""


class SourceBusy(TooBusy):
    """From this source too many accounts failed, and so many try again that this one cannot wait."""


class WeakPassword(Refusal):
    """The new password is too short, too long, common, or consists of words that others know of the person."""

    field = "new"


class WrongCode(Refusal):
    """The code is not from the app that is being set up."""

    message = "Dieser Code passt nicht. Geben Sie den Code ein, den die App jetzt für diesen Zugang zeigt."
    field = "code"


class SessionOver(Refusal):
    """The login session ended while the request was running."""


class LinkUnusable(Refusal):
    """The link is unknown or ended, or another request redeemed it first."""

    message = "Dieser Link gilt nicht mehr. Senden Sie einen neuen."


class AddressTaken(Refusal):
    """The mail address belongs to another account."""

    message = "Diese Adresse gehört inzwischen zu einem anderen Konto. Bitte rufen Sie uns an."
    field = "email"


class AccountLocked(Refusal):
    """The office has locked the account; only the office unlocks it."""

    message = "Das Konto ist gesperrt. Entsperren Sie es zuerst."
    once_an_hour = True


class ChangedMeanwhile(Refusal):
    """Another request saved the same record first."""


class TooManyMails(Refusal):
    """The recipient's daily limit of mails is reached."""

    message = "An diese Adresse gingen heute schon zu viele E-Mails. Versuchen Sie es morgen, oder rufen Sie an."
    field = "email"
    once_an_hour = True
