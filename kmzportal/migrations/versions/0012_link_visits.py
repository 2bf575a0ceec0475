"""Visits to links, and what was typed, in rows instead of the cookie."""

import sqlalchemy as sa
from alembic import op

from kmzportal.db import UTCDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "kept_entry",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=True),
        sa.Column("email_canonical", sa.String(), nullable=True),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("kept_until", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_kept_entry")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_kept_entry_token_hash")),
    )
    for column in ("actor", "email_canonical", "kept_until"):
        op.create_index(op.f(f"ix_kept_entry_{column}"), "kept_entry", [column])
    op.create_table(
        "link_visit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("link_id", sa.Integer(), nullable=False),
        sa.Column("started_at", UTCDateTime(), nullable=False),
        sa.Column("last_seen", UTCDateTime(), nullable=False),
        sa.Column("idle_after", sa.Integer(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=False),
        sa.Column("ended_at", UTCDateTime(), nullable=True),
        sa.Column("checked", sa.Boolean(), nullable=False),
        sa.Column("wrong_puzzles", sa.Integer(), nullable=False),
        sa.Column("factor_nonce", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["link_id"], ["account_link.id"], name=op.f("fk_link_visit_link_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_link_visit")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_link_visit_token_hash")),
    )
    op.create_index(op.f("ix_link_visit_link_id"), "link_visit", ["link_id"])


def downgrade():
    op.drop_table("link_visit")
    op.drop_table("kept_entry")
