"""Limits of anonymous requests: known sources, whose budget a mail used, and indexes for counting."""

import sqlalchemy as sa
from alembic import op

from kmzportal.db import UTCDateTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "known_source",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("logged_in_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_known_source")),
    )
    op.create_index(op.f("ix_known_source_logged_in_at"), "known_source", ["logged_in_at"])
    op.add_column("outgoing_mail", sa.Column("by_desk", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.drop_index(op.f("ix_outgoing_mail_recipient_canonical"), "outgoing_mail")
    op.create_index(
        "ix_outgoing_mail_recipient_canonical_queued_at", "outgoing_mail", ["recipient_canonical", "queued_at"]
    )
    op.drop_index(op.f("ix_recovery_request_email_canonical"), "recovery_request")
    op.create_index(
        "ix_recovery_request_address_outcome", "recovery_request", ["email_canonical", "outcome", "requested_at"]
    )
    op.create_index(
        "ix_recovery_request_source_requested_at", "recovery_request", ["source", "requested_at", "email_canonical"]
    )
    with_source = sa.text("source IS NOT NULL")
    op.create_index(
        "ix_audit_event_with_source", "audit_event", ["at"], sqlite_where=with_source, postgresql_where=with_source
    )


def downgrade():
    op.drop_index("ix_audit_event_with_source", "audit_event")
    op.drop_index("ix_recovery_request_source_requested_at", "recovery_request")
    op.drop_index("ix_recovery_request_address_outcome", "recovery_request")
    op.create_index(op.f("ix_recovery_request_email_canonical"), "recovery_request", ["email_canonical"])
    op.drop_index("ix_outgoing_mail_recipient_canonical_queued_at", "outgoing_mail")
    op.create_index(op.f("ix_outgoing_mail_recipient_canonical"), "outgoing_mail", ["recipient_canonical"])
    op.drop_column("outgoing_mail", "by_desk")
    op.drop_index(op.f("ix_known_source_logged_in_at"), "known_source")
    op.drop_table("known_source")
