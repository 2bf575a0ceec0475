"""Customers are searched by LIKE: SQLite needs no FTS5 table, and addresses are compared byte by byte on both databases."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

FTS = (
    "CREATE VIRTUAL TABLE customer_search USING fts5(search, content='customer', content_rowid='id', "
    "tokenize='trigram')",
    "CREATE TRIGGER customer_search_insert AFTER INSERT ON customer BEGIN "
    "INSERT INTO customer_search (rowid, search) VALUES (new.id, new.search); END",
    "CREATE TRIGGER customer_search_delete AFTER DELETE ON customer BEGIN "
    "INSERT INTO customer_search (customer_search, rowid, search) VALUES ('delete', old.id, old.search); END",
    "CREATE TRIGGER customer_search_update AFTER UPDATE OF search ON customer WHEN old.search <> new.search BEGIN "
    "INSERT INTO customer_search (customer_search, rowid, search) VALUES ('delete', old.id, old.search); "
    "INSERT INTO customer_search (rowid, search) VALUES (new.id, new.search); END",
    "INSERT INTO customer_search (customer_search) VALUES ('rebuild')",
)


def upgrade():
    if op.get_context().dialect.name == "sqlite":
        for event in ("insert", "delete", "update"):
            op.execute(f"DROP TRIGGER IF EXISTS customer_search_{event}")
        op.execute("DROP TABLE IF EXISTS customer_search")
        op.create_index("customer_search", "customer", ["search"])
    else:
        op.drop_index("customer_search_address", "customer")
        op.alter_column("customer", "email_canonical", type_=sa.String(collation="C"))
        op.execute("ANALYZE customer")  # the statistics of a column end with its old type


def downgrade():
    if op.get_context().dialect.name == "sqlite":
        op.drop_index("customer_search", "customer")
        for statement in FTS:
            op.execute(statement)
    else:
        op.alter_column("customer", "email_canonical", type_=sa.String())
        op.execute("CREATE INDEX customer_search_address ON customer (email_canonical text_pattern_ops)")
