"""The tables, one per file, independent of Flask and the clock. Importing this package registers all of them."""

from kmzportal.models import (  # noqa: F401
    account_link,
    audit_event,
    clerk,
    customer,
    heartbeat,
    login_session,
    outgoing_mail,
    recovery_request,
    throttle,
    used_puzzle,
)
