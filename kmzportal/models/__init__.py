"""The tables, independent of Flask and the clock. Importing this package registers all of them."""

from kmzportal.models.account_link import (
    ANSWERS_CASE,
    CODE_TRIES,
    ENDS_WITH_ADDRESS,
    ENDS_WITH_PASSWORD,
    IN_NOTICE,
    POLICIES,
    RENEWALS,
    SETS_PASSWORD,
    AccountLink,
    LinkKind,
    LinkState,
    UsedPuzzle,
)
from kmzportal.models.alarm import Alarm
from kmzportal.models.audit_event import (
    ACTIONS,
    DETAILS,
    IDENTITY_CHECKS,
    SEQUENCES,
    STEPS,
    AuditChain,
    AuditEvent,
)
from kmzportal.models.customer import (
    AddressProposal,
    Customer,
    CustomerAccess,
    DeletedCustomer,
    Objection,
    fold,
    search_text,
)
from kmzportal.models.diagnosis import Diagnosis
from kmzportal.models.key_fingerprint import KeyFingerprint
from kmzportal.models.login_session import KeptEntry, KnownDevice, LinkVisit, LoginSession, SourceFailure, Throttle
from kmzportal.models.outgoing_mail import MAIL_STATES, Heartbeat, MailState, OutgoingMail
from kmzportal.models.passkey import Passkey
from kmzportal.models.person import NEUTRAL_GREETING, Clerk, ClerkDay, Person
from kmzportal.models.recovery_request import KnownSource, RecoveryRequest, RequestCount
from kmzportal.models.support_case import (
    BRANCHES,
    CHANNELS,
    CHOSEN_BY_CLERK,
    CLOSED_AS,
    ENTRIES,
    CaseEntry,
    CaseState,
    ReceivedMail,
    SupportCase,
)
