"""The last login of each customer, and the indexes of the lists of the desk."""

import sqlalchemy as sa
from alembic import op

from kmzportal.db import UTCDateTime

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

#: Table, columns and condition of each partial index.
INDEXES = {
    "ix_customer_locked": ("customer", ["locked_at", "id"], "locked_at IS NOT NULL"),
    "ix_customer_never_activated": ("customer", ["created_at", "id"], "password_set_at IS NULL"),
    "ix_customer_last_login": ("customer", ["last_login_at", "id"], "last_login_at IS NOT NULL"),
    "ix_account_link_open": ("account_link", ["expires_at", "id"], "ended_at IS NULL"),
    "ix_outgoing_mail_undelivered": ("outgoing_mail", ["queued_at", "id"], "lower(state) IN ('refused', 'bounced')"),
}


def upgrade():
    op.add_column("customer", sa.Column("last_login_at", UTCDateTime(), nullable=True))
    op.execute("""
        UPDATE customer SET last_login_at =
        (SELECT max(at) FROM audit_event WHERE action = 'login.succeeded' AND actor = 'customer:' || customer.id)
    """)
    for name, (table, columns, where) in INDEXES.items():
        condition = sa.text(where)
        op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)


def downgrade():
    for name, (table, _columns, _where) in INDEXES.items():
        op.drop_index(name, table)
    op.drop_column("customer", "last_login_at")
