"""Ids of passkeys that SQLite does not use again, and an index for the recent failures of a source."""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade():
    op.create_index("ix_source_failure_recent", "source_failure", ["source", "failed_at"])
    if op.get_bind().dialect.name == "sqlite":  # PostgreSQL never uses an id again
        with op.batch_alter_table("passkey", recreate="always", table_kwargs={"sqlite_autoincrement": True}):
            pass


def downgrade():
    op.drop_index("ix_source_failure_recent", "source_failure")
