"""Clerks can leave; recovery codes have a nonce of their own; a first link's new password waits for the code."""

import sqlalchemy as sa
from alembic import op

from kmzportal.db import UTCDateTime

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("clerk", sa.Column("left_at", UTCDateTime(), nullable=True))
    op.add_column("clerk", sa.Column("recovery_nonce", sa.String(), nullable=True))
    op.add_column("link_visit", sa.Column("password_hash", sa.String(), nullable=True))


def downgrade():
    with op.batch_alter_table("link_visit") as batch:
        batch.drop_column("password_hash")
    with op.batch_alter_table("clerk") as batch:
        batch.drop_column("recovery_nonce")
        batch.drop_column("left_at")
