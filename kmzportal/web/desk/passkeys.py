"""Mein Zugang: Passkeys."""

from kmzportal.web.auth import clerk_only, fresh_second_factor
from kmzportal.web.passkeys import blueprint

bp = blueprint("own_passkeys", "/kundenservice/zugang/passkeys", lambda view: clerk_only(fresh_second_factor(view)))
