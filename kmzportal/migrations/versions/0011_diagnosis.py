"""The latest results of the checks of each host."""

import sqlalchemy as sa
from alembic import op

from kmzportal.db import UTCDateTime

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "diagnosis",
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("checked_at", UTCDateTime(), nullable=True),
        sa.Column("due_at", UTCDateTime(), nullable=False),
        sa.Column("results", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_diagnosis")),
    )


def downgrade():
    op.drop_table("diagnosis")
