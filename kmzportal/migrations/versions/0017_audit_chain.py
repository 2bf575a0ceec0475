"""The audit trail as a chain. The first start chains what is there, see services/audit_chain.py."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

COLUMNS = {"salt": sa.String(), "digest": sa.String(), "erased": sa.String(), "position": sa.Integer(), "mac": sa.String()}


def upgrade():
    for name, kind in COLUMNS.items():
        op.add_column("audit_event", sa.Column(name, kind, nullable=True))
    op.create_index(op.f("ix_audit_event_position"), "audit_event", ["position"], unique=True)
    op.create_table(
        "audit_chain",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("mac", sa.String(), nullable=False),
        sa.Column("seal", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_audit_chain")),
    )


def downgrade():
    op.drop_table("audit_chain")
    with op.batch_alter_table("audit_event") as batch:
        batch.drop_index(op.f("ix_audit_event_position"))
        for name in COLUMNS:
            batch.drop_column(name)
