"""The second factor: asked for after the right password, and set up with the first link."""

from sqlalchemy import update

from kmzportal.domain.clerk import Clerk
from kmzportal.domain.login_session import LoginSession
from kmzportal.domain.refusals import SessionOver, WrongCode
from kmzportal.domain.second_factor import SecondFactor
from kmzportal.services import login
from kmzportal.services.upsert import changed
from kmzportal.services.work import UnitOfWork


def enter(work: UnitOfWork, here: LoginSession, typed: str) -> str | None:
    """Return the token of a whole session in place of the one that awaits its code; None if the code is wrong.

    Every try is counted before it is compared; who knows the password must not guess the code. Raises SessionOver.
    """
    login.still_here(work, here)
    clerk = here.clerk
    if clerk is None or not here.awaits_code:
        raise SessionOver
    codes = _counted_as(work, clerk)
    if login.throttled(work, codes, whatever_the_source=True):
        work.record("login.code_throttled", clerk)
        return None
    login.count(work, codes)
    if not _takes(work, clerk, typed):
        work.record("login.code_wrong", clerk)
        return None
    login.forget_failures(work, codes)
    here.ended_at = work.now
    return login.begin(work, clerk, here.device)


def set_up(work: UnitOfWork, clerk: Clerk, nonce: str, typed: str) -> None:
    """Let codes from now on derive from this nonce, once the app has proved that it knows; raises WrongCode."""
    step = SecondFactor(work.keys, nonce).step_of(typed, work.now)
    if step is None:
        raise WrongCode("factor.refused", clerk)
    clerk.factor_nonce, clerk.factor_step, clerk.recovery_codes_used = nonce, step, []
    login.forget_failures(work, _counted_as(work, clerk))
    work.record("factor.set", clerk)


def _takes(work: UnitOfWork, clerk: Clerk, typed: str) -> bool:
    """Whether the code is the clerk's and was not used before; then it is used now."""
    if clerk.factor_nonce is None:
        return False
    factor = SecondFactor(work.keys, clerk.factor_nonce)
    step, place = factor.step_of(typed, work.now), factor.place_of(typed)
    if step is not None:
        newer = update(Clerk).where(Clerk.id == clerk.id, Clerk.factor_step < step)
        return changed(work.session, newer.values(factor_step=step)) == 1
    if place is None or place in clerk.recovery_codes_used:
        return False
    clerk.recovery_codes_used = [*clerk.recovery_codes_used, place]
    return True


def _counted_as(work: UnitOfWork, clerk: Clerk) -> str:
    return work.keys.fingerprint(f"codes:{clerk.id}")
