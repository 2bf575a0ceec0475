"""Ids of links have 64 bits: they come from the time, as a number that counts links tells of those of others."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

COLUMNS = {"account_link": "id", "link_visit": "link_id", "outgoing_mail": "link_id"}


def upgrade():
    if op.get_bind().dialect.name == "postgresql":  # in SQLite every integer may have them
        for table, column in COLUMNS.items():
            op.alter_column(table, column, type_=sa.BigInteger())
        op.execute("ALTER SEQUENCE account_link_id_seq AS bigint")


def downgrade():
    """Keep the columns, as the ids would not fit any more."""
