"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "clerk",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("initials", sa.String(), nullable=False),
        sa.Column("admin", sa.Boolean(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("email_canonical", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String()),
        sa.Column("password_set_at", sa.DateTime()),
        sa.Column("locked_at", sa.DateTime()),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_clerk"),
        sa.UniqueConstraint("email_canonical", name="uq_clerk_email_canonical"),
        sa.UniqueConstraint("initials", name="uq_clerk_initials"),
    )
    op.create_table(
        "customer",
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("salutation", sa.String(), nullable=False),
        sa.Column("first_name", sa.String(), nullable=False),
        sa.Column("last_name", sa.String(), nullable=False),
        sa.Column("school", sa.String(), nullable=False),
        sa.Column("street", sa.String(), nullable=False),
        sa.Column("postcode", sa.String(), nullable=False),
        sa.Column("town", sa.String(), nullable=False),
        sa.Column("phone", sa.String(), nullable=False),
        sa.Column("pending_email", sa.String()),
        sa.Column("pending_email_canonical", sa.String()),
        sa.Column("imported", sa.JSON(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("email_canonical", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String()),
        sa.Column("password_set_at", sa.DateTime()),
        sa.Column("locked_at", sa.DateTime()),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_customer"),
        sa.UniqueConstraint("email_canonical", name="uq_customer_email_canonical"),
        sa.UniqueConstraint("number", name="uq_customer_number"),
    )
    op.create_index("ix_customer_pending_email_canonical", "customer", ["pending_email_canonical"])
    op.create_table(
        "heartbeat",
        sa.Column("loop", sa.String(), nullable=False),
        sa.Column("beat_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("loop", name="pk_heartbeat"),
    )
    op.create_table(
        "source_failure",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("failed_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("source", "account", name="pk_source_failure"),
    )
    op.create_index("ix_source_failure_failed_at", "source_failure", ["failed_at"])
    op.create_table(
        "throttle",
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failed_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("account", name="pk_throttle"),
    )
    op.create_table(
        "used_puzzle",
        sa.Column("puzzle", sa.String(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("puzzle", name="pk_used_puzzle"),
    )
    op.create_index("ix_used_puzzle_expires_at", "used_puzzle", ["expires_at"])
    op.create_table(
        "account_link",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("customer_id", sa.Integer()),
        sa.Column("clerk_id", sa.Integer()),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("nonce", sa.String(), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("issued_by", sa.String(), nullable=False),
        sa.Column("initials", sa.String()),
        sa.Column("issued_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.Column("opened_at", sa.DateTime()),
        sa.Column("ended_at", sa.DateTime()),
        sa.Column("ended_as", sa.String()),
        sa.Column("code_tries", sa.Integer(), nullable=False),
        sa.Column("renewals", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["clerk_id"], ["clerk.id"], name="fk_account_link_clerk_id"),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name="fk_account_link_customer_id"),
        sa.PrimaryKeyConstraint("id", name="pk_account_link"),
        sa.UniqueConstraint("token_hash", name="uq_account_link_token_hash"),
    )
    op.create_index("ix_account_link_clerk_id", "account_link", ["clerk_id"])
    op.create_index("ix_account_link_customer_id", "account_link", ["customer_id"])
    op.create_table(
        "audit_event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("deed", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("customer_id", sa.Integer()),
        sa.Column("clerk_id", sa.Integer()),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("source", sa.String()),
        sa.ForeignKeyConstraint(["clerk_id"], ["clerk.id"], name="fk_audit_event_clerk_id"),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name="fk_audit_event_customer_id"),
        sa.PrimaryKeyConstraint("id", name="pk_audit_event"),
    )
    op.create_index("ix_audit_event_at", "audit_event", ["at"])
    op.create_index("ix_audit_event_clerk_id", "audit_event", ["clerk_id"])
    op.create_index("ix_audit_event_customer_id", "audit_event", ["customer_id"])
    op.create_table(
        "login_session",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("customer_id", sa.Integer()),
        sa.Column("clerk_id", sa.Integer()),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("last_seen", sa.DateTime(), nullable=False),
        sa.Column("idle_after", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.Column("ended_at", sa.DateTime()),
        sa.Column("password_proved_at", sa.DateTime()),
        sa.Column("device", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["clerk_id"], ["clerk.id"], name="fk_login_session_clerk_id"),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name="fk_login_session_customer_id"),
        sa.PrimaryKeyConstraint("id", name="pk_login_session"),
        sa.UniqueConstraint("token_hash", name="uq_login_session_token_hash"),
    )
    op.create_index("ix_login_session_clerk_id", "login_session", ["clerk_id"])
    op.create_index("ix_login_session_customer_id", "login_session", ["customer_id"])
    op.create_table(
        "recovery_request",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("email_canonical", sa.String(), nullable=False),
        sa.Column("requested_at", sa.DateTime(), nullable=False),
        sa.Column("source", sa.String()),
        sa.Column("answered_at", sa.DateTime()),
        sa.Column("outcome", sa.String()),
        sa.Column("customer_id", sa.Integer()),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name="fk_recovery_request_customer_id"),
        sa.PrimaryKeyConstraint("id", name="pk_recovery_request"),
        sa.UniqueConstraint("reference", name="uq_recovery_request_reference"),
    )
    op.create_index("ix_recovery_request_answered_at", "recovery_request", ["answered_at"])
    op.create_index("ix_recovery_request_email_canonical", "recovery_request", ["email_canonical"])
    op.create_index("ix_recovery_request_requested_at", "recovery_request", ["requested_at"])
    op.create_table(
        "outgoing_mail",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("template", sa.String(), nullable=False),
        sa.Column("recipient", sa.String(), nullable=False),
        sa.Column("recipient_canonical", sa.String(), nullable=False),
        sa.Column("customer_id", sa.Integer()),
        sa.Column("clerk_id", sa.Integer()),
        sa.Column("link_id", sa.Integer()),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("queued_at", sa.DateTime(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("next_try_at", sa.DateTime(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("leased_until", sa.DateTime()),
        sa.Column("settled_at", sa.DateTime()),
        sa.Column("reply_code", sa.Integer()),
        sa.Column("reason", sa.String()),
        sa.ForeignKeyConstraint(["clerk_id"], ["clerk.id"], name="fk_outgoing_mail_clerk_id"),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name="fk_outgoing_mail_customer_id"),
        sa.ForeignKeyConstraint(["link_id"], ["account_link.id"], name="fk_outgoing_mail_link_id"),
        sa.PrimaryKeyConstraint("id", name="pk_outgoing_mail"),
        sa.UniqueConstraint("message_id", name="uq_outgoing_mail_message_id"),
    )
    op.create_index("ix_outgoing_mail_customer_id", "outgoing_mail", ["customer_id"])
    op.create_index("ix_outgoing_mail_link_id", "outgoing_mail", ["link_id"])
    op.create_index("ix_outgoing_mail_next_try_at", "outgoing_mail", ["next_try_at"])
    op.create_index("ix_outgoing_mail_queued_at", "outgoing_mail", ["queued_at"])
    op.create_index("ix_outgoing_mail_recipient_canonical", "outgoing_mail", ["recipient_canonical"])
    op.create_index("ix_outgoing_mail_state", "outgoing_mail", ["state"])


def downgrade():
    op.drop_table("outgoing_mail")
    op.drop_table("recovery_request")
    op.drop_table("login_session")
    op.drop_table("audit_event")
    op.drop_table("account_link")
    op.drop_table("used_puzzle")
    op.drop_table("throttle")
    op.drop_table("source_failure")
    op.drop_table("heartbeat")
    op.drop_table("customer")
    op.drop_table("clerk")
