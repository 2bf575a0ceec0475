"""Passkeys, when one was offered to a customer, and which browser used a link."""

import sqlalchemy as sa
from alembic import op

from kmzportal.db import BIG, UTCDateTime

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "passkey",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=True),
        sa.Column("clerk_id", sa.Integer(), nullable=True),
        sa.Column("credential_id", sa.String(), nullable=False),
        sa.Column("public_key", sa.String(), nullable=False),
        sa.Column("user_handle", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("sign_count", BIG, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("last_used", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["clerk_id"], ["clerk.id"], name=op.f("fk_passkey_clerk_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_passkey_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_passkey")),
        sa.UniqueConstraint("credential_id", name=op.f("uq_passkey_credential_id")),
    )
    op.create_index(op.f("ix_passkey_clerk_id"), "passkey", ["clerk_id"])
    op.create_index(op.f("ix_passkey_customer_id"), "passkey", ["customer_id"])
    op.add_column("customer", sa.Column("passkey_offered_at", UTCDateTime(), nullable=True))
    redeemed = sa.Column("redeemed", sa.Boolean(), nullable=False, server_default=sa.false())
    op.add_column("link_visit", redeemed)


def downgrade():
    op.drop_column("link_visit", "redeemed")
    op.drop_column("customer", "passkey_offered_at")
    op.drop_table("passkey")
