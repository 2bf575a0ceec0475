"""What the desk needs: customers are found by their words, clerks have a second factor."""

import sqlalchemy as sa
from alembic import op

from kmzportal.models.customer import search_text

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("clerk", sa.Column("factor_nonce", sa.String()))
    op.add_column("clerk", sa.Column("factor_step", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("clerk", sa.Column("recovery_codes_used", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("login_session", sa.Column("awaits_code", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("customer", sa.Column("search", sa.String(), nullable=False, server_default=""))
    if not op.get_context().as_sql:
        fill()
    if op.get_context().dialect.name == "postgresql":  # SQLite had an FTS5 table, which 0004 drops
        op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        op.execute("CREATE INDEX customer_search ON customer USING gin (search gin_trgm_ops)")


def fill():
    names = ("id", "number", "first_name", "last_name", "school", "street", "postcode", "town", "email")
    customer = sa.table("customer", *map(sa.column, (*names, "pending_email", "phone", "search")))
    connection = op.get_bind()
    words = [{"_id": row.id, "search": search_text(row)} for row in connection.execute(sa.select(customer))]
    if words:
        connection.execute(customer.update().where(customer.c.id == sa.bindparam("_id")), words)


def downgrade():
    if op.get_context().dialect.name == "sqlite":
        for event in ("insert", "delete", "update"):
            op.execute(f"DROP TRIGGER IF EXISTS customer_search_{event}")
        op.execute("DROP TABLE IF EXISTS customer_search")
    else:
        op.execute("DROP INDEX customer_search")
    op.drop_column("customer", "search")
    op.drop_column("login_session", "awaits_code")
    op.drop_column("clerk", "recovery_codes_used")
    op.drop_column("clerk", "factor_step")
    op.drop_column("clerk", "factor_nonce")
