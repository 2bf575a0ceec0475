"""Written requests: cases, what was written about them, and counters of anonymous requests."""

import sqlalchemy as sa
from alembic import op


revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "request_count",
        sa.Column("counted", sa.String(), nullable=False),
        sa.Column("hour", sa.DateTime(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("counted", "hour", name=op.f("pk_request_count")),
    )
    op.create_table(
        "support_case",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("branch", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("email_canonical", sa.String(), nullable=False),
        sa.Column("email_proven", sa.Boolean(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("school", sa.String(), nullable=False),
        sa.Column("old_email", sa.String(), nullable=False),
        sa.Column("new_email", sa.String(), nullable=False),
        sa.Column("phone", sa.String(), nullable=False),
        sa.Column("received_at", sa.DateTime(), nullable=False),
        sa.Column("promised_on", sa.Date(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("state_since", sa.DateTime(), nullable=False),
        sa.Column("closed_as", sa.String(), nullable=True),
        sa.Column("answered_at", sa.DateTime(), nullable=True),
        sa.Column("customer_id", sa.Integer(), nullable=True),
        sa.Column("clerk_id", sa.Integer(), nullable=True),
        sa.Column("merged_into_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["clerk_id"], ["clerk.id"], name=op.f("fk_support_case_clerk_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_support_case_customer_id")),
        sa.ForeignKeyConstraint(["merged_into_id"], ["support_case.id"], name=op.f("fk_support_case_merged_into_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_support_case")),
        sa.UniqueConstraint("reference", name=op.f("uq_support_case_reference")),
    )
    with op.batch_alter_table("support_case", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_support_case_customer_id"), ["customer_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_support_case_email_canonical"), ["email_canonical"], unique=False)
        batch_op.create_index(batch_op.f("ix_support_case_promised_on"), ["promised_on"], unique=False)
        batch_op.create_index(batch_op.f("ix_support_case_received_at"), ["received_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_support_case_state"), ["state"], unique=False)

    op.create_table(
        "case_entry",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("attachments", sa.JSON(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["support_case.id"], name=op.f("fk_case_entry_case_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case_entry")),
        sa.UniqueConstraint("message_id", name=op.f("uq_case_entry_message_id")),
    )
    with op.batch_alter_table("case_entry", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_case_entry_case_id"), ["case_id"], unique=False)

    with op.batch_alter_table("outgoing_mail", schema=None) as batch_op:
        batch_op.add_column(sa.Column("case_id", sa.Integer(), nullable=True))
        batch_op.create_index(batch_op.f("ix_outgoing_mail_case_id"), ["case_id"], unique=False)
        batch_op.create_foreign_key(batch_op.f("fk_outgoing_mail_case_id"), "support_case", ["case_id"], ["id"])

    op.create_table(
        "received_mail",
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("received_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_received_mail")),
    )
    with op.batch_alter_table("heartbeat", schema=None) as batch_op:
        batch_op.add_column(sa.Column("failing_since", sa.DateTime(), nullable=True))
        batch_op.add_column(sa.Column("failure", sa.String(), nullable=True))


def downgrade():
    with op.batch_alter_table("heartbeat", schema=None) as batch_op:
        batch_op.drop_column("failure")
        batch_op.drop_column("failing_since")

    op.drop_table("received_mail")
    with op.batch_alter_table("outgoing_mail", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_outgoing_mail_case_id"), type_="foreignkey")
        batch_op.drop_index(batch_op.f("ix_outgoing_mail_case_id"))
        batch_op.drop_column("case_id")

    with op.batch_alter_table("case_entry", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_case_entry_case_id"))

    op.drop_table("case_entry")
    with op.batch_alter_table("support_case", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_support_case_state"))
        batch_op.drop_index(batch_op.f("ix_support_case_received_at"))
        batch_op.drop_index(batch_op.f("ix_support_case_promised_on"))
        batch_op.drop_index(batch_op.f("ix_support_case_email_canonical"))
        batch_op.drop_index(batch_op.f("ix_support_case_customer_id"))

    op.drop_table("support_case")
    op.drop_table("request_count")
