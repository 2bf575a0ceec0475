"""Einstellungen: Passkeys."""

from kmzportal.web.auth import customer_only
from kmzportal.web.customer.account import after_confirmation
from kmzportal.web.passkeys import blueprint

bp = blueprint("passkeys", "/einstellungen/passkeys", lambda view: customer_only(after_confirmation(view)))
