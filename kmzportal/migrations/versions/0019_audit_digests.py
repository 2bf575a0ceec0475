"""Signatures of events are found by an index, as a copy of an event is known by its signature."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade():
    op.create_index("ix_audit_event_digest", "audit_event", ["digest"])


def downgrade():
    op.drop_index("ix_audit_event_digest", "audit_event")
