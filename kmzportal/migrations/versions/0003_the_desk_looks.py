"""What the desk looks at: mails that are tried anew, the Protokoll in its order, addresses by their beginning."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

WAYS = (("deed",), ("actor",), ("actor", "deed"), ("customer_id",), ("clerk_id",))


def upgrade():
    op.add_column("outgoing_mail", sa.Column("retried_at", sa.DateTime()))
    op.add_column("outgoing_mail", sa.Column("disturbed_at", sa.DateTime()))
    op.create_index("ix_outgoing_mail_disturbed_at", "outgoing_mail", ["disturbed_at"])
    for way in WAYS:
        op.create_index(f"ix_audit_event_{'_'.join(way)}_at", "audit_event", [*way, "at"])
    op.drop_index("ix_audit_event_customer_id", "audit_event")
    op.drop_index("ix_audit_event_clerk_id", "audit_event")
    if op.get_context().dialect.name == "postgresql":
        op.execute("CREATE INDEX IF NOT EXISTS customer_search_address ON customer (email_canonical text_pattern_ops)")


def downgrade():
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP INDEX IF EXISTS customer_search_address")
    op.create_index("ix_audit_event_clerk_id", "audit_event", ["clerk_id"])
    op.create_index("ix_audit_event_customer_id", "audit_event", ["customer_id"])
    for way in WAYS:
        op.drop_index(f"ix_audit_event_{'_'.join(way)}_at", "audit_event")
    op.drop_index("ix_outgoing_mail_disturbed_at", "outgoing_mail")
    op.drop_column("outgoing_mail", "disturbed_at")
    op.drop_column("outgoing_mail", "retried_at")
