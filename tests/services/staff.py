"""A clerk at the desk's door: the password, then the code."""

from kmzportal.models.clerk import Clerk
from kmzportal.services import second_factor
from tests import people


def log_in(backend, clerk, password=None):
    return backend.log_in(clerk.email, password or people.password_of(clerk), table=Clerk)


def half_way(backend, clerk):
    """Let a clerk give the right password and return the session that awaits the code."""
    return backend.session_of(log_in(backend, clerk))


def enter(backend, login_session, code):
    new = backend.run(second_factor.verify_login, login_session, code)
    return new and new.token
