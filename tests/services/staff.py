"""A clerk at the desk's door: the password, then the code."""

from kmzportal.domain.clerk import Clerk
from kmzportal.services import second_factor
from tests import cast


def log_in(deeds, clerk, password=None):
    return deeds.log_in(clerk.email, password or cast.password_of(clerk), table=Clerk)


def half_way(deeds, clerk):
    """Let a clerk give the right password and return the session that awaits the code."""
    return deeds.session_of(log_in(deeds, clerk))


def enter(deeds, here, code):
    return deeds.do(second_factor.enter, here, code)
