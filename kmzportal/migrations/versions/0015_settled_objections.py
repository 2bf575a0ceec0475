"""Objections and whether the desk settled them; corrections that wait for a second clerk; what each clerk does a day."""

import sqlalchemy as sa
from alembic import op

from kmzportal.db import UTCDateTime

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("customer", sa.Column("objection", sa.String(), nullable=True))
    # A locked account with an objection has to be settled before it is unlocked.
    op.execute(
        "UPDATE customer SET objection = 'open' WHERE locked_at IS NOT NULL AND EXISTS (SELECT 1 FROM audit_event "
        "WHERE audit_event.customer_id = customer.id AND action = 'address.objected' AND at >= locked_at)"
    )
    op.create_table(
        "address_proposal",
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("clerk_id", sa.Integer(), nullable=False),
        sa.Column("proposed_at", UTCDateTime(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("check", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["clerk_id"], ["clerk.id"], name=op.f("fk_address_proposal_clerk_id_clerk")),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_address_proposal_customer_id_customer")),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_address_proposal")),
    )
    op.create_index(op.f("ix_address_proposal_proposed_at"), "address_proposal", ["proposed_at"])
    op.create_table(
        "clerk_day",
        sa.Column("clerk_id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("act", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("clerk_id", "day", "act", name=op.f("pk_clerk_day")),
    )
    op.create_index(op.f("ix_clerk_day_day"), "clerk_day", ["day"])


def downgrade():
    op.drop_table("clerk_day")
    op.drop_table("address_proposal")
    op.drop_column("customer", "objection")
