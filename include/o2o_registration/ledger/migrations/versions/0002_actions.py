"""Each person is weighed by the fuse once; a run carries out the action of its trigger form once."""

from alembic import op

revision = "0002"
down_revision = "0001"

COLUMNS = """
ALTER TABLE o2o.registration ADD COLUMN passed_fuse BOOLEAN DEFAULT false NOT NULL;
COMMENT ON COLUMN o2o.registration.passed_fuse IS 'in a batch that was small enough, or approved';
ALTER TABLE o2o.run_summary ADD COLUMN acted_at TIMESTAMP WITH TIME ZONE;
COMMENT ON COLUMN o2o.run_summary.acted_at IS 'when the action of the trigger form was carried out';
"""


def upgrade() -> None:
    op.execute(COLUMNS)


def downgrade() -> None:
    op.execute("ALTER TABLE o2o.registration DROP COLUMN passed_fuse")
    op.execute("ALTER TABLE o2o.run_summary DROP COLUMN acted_at")
