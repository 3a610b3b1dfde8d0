"""A ledger knows at which of o2o's servers its people are: who is registered at acceptance is not in production."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute("ALTER TABLE o2o.owner ADD COLUMN server TEXT")
    op.execute(
        "COMMENT ON COLUMN o2o.owner.server IS 'the host of o2o at which they are registered; another''s run calls nobody'"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE o2o.owner DROP COLUMN server")
