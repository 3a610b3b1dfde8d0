"""A ledger knows whose people it holds: two clients' people must not meet in one."""

from alembic import op

revision = "0006"
down_revision = "0005"

# whatever has run until now was the one DAG without clients
TABLE = """
CREATE TABLE o2o.owner (
    id SMALLINT NOT NULL,
    client TEXT NOT NULL,
    since TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT ck_owner_one_row CHECK (id = 1)
);
COMMENT ON TABLE o2o.owner IS 'At most one row: the client whose people are here; no other client''s run touches them';
INSERT INTO o2o.owner (id, client) SELECT 1, 'default' WHERE EXISTS (SELECT FROM o2o.run_summary);
"""


def upgrade() -> None:
    op.execute(TABLE)


def downgrade() -> None:
    op.execute("DROP TABLE o2o.owner")
