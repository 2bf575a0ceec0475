"""Deletion of accounts: the hashes of deleted Kundennummern, and ids that SQLite does not use again."""

import sqlalchemy as sa
from alembic import op


revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "deleted_customer",
        sa.Column("number_hash", sa.String(), nullable=False),
        sa.Column("deleted_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("number_hash", name=op.f("pk_deleted_customer")),
    )
    if op.get_bind().dialect.name == "sqlite":  # PostgreSQL never uses an id again
        for table in ("customer", "account_link"):
            with op.batch_alter_table(table, recreate="always", table_kwargs={"sqlite_autoincrement": True}):
                pass


def downgrade():
    op.drop_table("deleted_customer")
