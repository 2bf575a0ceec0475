"""Canonical Kundennummern, and who at the desk saw whose data.

Customers whose Kundennummern differ only in spelling (`K-1`, `k-1`) stay: the oldest gets the canonical number, the
others the same with an ending that no canonical number has. Search, desk and `customers delete` find each by its own
spelling; the office decides which to delete.
"""

import sqlalchemy as sa
from alembic import op

from kmzportal.plain_text import canonical_number


revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade():
    # With a default, because SQLite adds no column NOT NULL without one; so the table keeps its AUTOINCREMENT.
    op.add_column("customer", sa.Column("number_canonical", sa.String(), nullable=False, server_default=""))
    connection = op.get_bind()
    customer = sa.table("customer", sa.column("id"), sa.column("number"), sa.column("number_canonical"))
    taken, rows = set(), []
    for id_, number in connection.execute(sa.select(customer.c.id, customer.c.number).order_by(customer.c.id)):
        canonical = canonical_number(number)
        rows.append({"row": id_, "canonical": f"{canonical} ZWILLING {id_}" if canonical in taken else canonical})
        taken.add(canonical)
    if rows:
        by_id = sa.update(customer).where(customer.c.id == sa.bindparam("row"))
        connection.execute(by_id.values(number_canonical=sa.bindparam("canonical")), rows)
    if connection.dialect.name == "postgresql":
        op.alter_column("customer", "number_canonical", server_default=None)
    op.create_index("ix_customer_number_canonical", "customer", ["number_canonical"], unique=True)
    op.create_table(
        "customer_access",
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("clerk_id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.ForeignKeyConstraint(["clerk_id"], ["clerk.id"], name=op.f("fk_customer_access_clerk_id_clerk")),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_customer_access_customer_id_customer")),
        sa.PrimaryKeyConstraint("customer_id", "clerk_id", "day", name=op.f("pk_customer_access")),
    )
    op.create_index("ix_customer_access_day", "customer_access", ["day"])


def downgrade():
    op.drop_table("customer_access")
    op.drop_index("ix_customer_number_canonical", "customer")
    op.drop_column("customer", "number_canonical")
