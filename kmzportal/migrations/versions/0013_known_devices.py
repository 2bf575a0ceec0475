"""Known devices: the browsers in which each account logged in."""

import sqlalchemy as sa
from alembic import op

from kmzportal.db import UTCDateTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "known_device",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=True),
        sa.Column("clerk_id", sa.Integer(), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("last_used", UTCDateTime(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["clerk_id"], ["clerk.id"], name=op.f("fk_known_device_clerk_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_known_device_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_known_device")),
    )
    for owner in ("customer_id", "clerk_id"):
        op.create_index(op.f(f"ix_known_device_{owner}"), "known_device", [owner])
        op.create_index(f"ix_known_device_token_hash_{owner}", "known_device", ["token_hash", owner], unique=True)


def downgrade():
    op.drop_table("known_device")
