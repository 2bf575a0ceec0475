"""Deletion of accounts: the hashes of deleted Kundennummern."""

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


def downgrade():
    op.drop_table("deleted_customer")
