"""Columns are named by what they hold: action, password_checked_at, outage_since."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

COLUMNS = (
    ("audit_event", "deed", "action"),
    ("login_session", "password_proved_at", "password_checked_at"),
    ("outgoing_mail", "disturbed_at", "outage_since"),
)
#: Indexes that carry the name of such a column, with their columns.
INDEXES = (
    ("audit_event", "ix_audit_event_{}_at", ("{}", "at")),
    ("audit_event", "ix_audit_event_actor_{}_at", ("actor", "{}", "at")),
    ("outgoing_mail", "ix_outgoing_mail_{}", ("{}",)),
)


def rename(columns):
    names = {table: (old, new) for table, old, new in columns}
    for table, index, _ in INDEXES:
        op.drop_index(index.format(names[table][0]), table)
    for table, old, new in columns:
        op.alter_column(table, old, new_column_name=new)
    for table, index, fields in INDEXES:
        new = names[table][1]
        op.create_index(index.format(new), table, [field.format(new) for field in fields])


def upgrade():
    rename(COLUMNS)


def downgrade():
    rename([(table, new, old) for table, old, new in COLUMNS])
