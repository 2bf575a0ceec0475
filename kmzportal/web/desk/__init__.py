"""Kundenservice: the pages of the clerks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kmzportal.services.refusals import ChangedMeanwhile, Refusal, SessionOver
from kmzportal.services.transaction import Transaction
from kmzportal.web.auth import user_transaction
from kmzportal.web.forms import PortalForm


@contextmanager
def form_transaction(form: PortalForm, first: Callable[[Transaction], None] = lambda _: None) -> Iterator[Transaction]:
    """Yield the clerk's transaction. A refusal rolls back and is added to `form.errors`: check these afterwards.

    Raises ChangedMeanwhile and SessionOver.
    """
    try:
        with user_transaction(first) as tx:
            yield tx
    except (ChangedMeanwhile, SessionOver):
        raise
    except Refusal as refusal:
        form.add_refusal(refusal)
