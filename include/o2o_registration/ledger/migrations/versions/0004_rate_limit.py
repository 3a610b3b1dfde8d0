"""One rate limit for all processes that deliver: the ledger knows when the next call may leave."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("ALTER TABLE o2o.delivery_state ADD COLUMN next_call_at TIMESTAMPTZ DEFAULT now() NOT NULL")
    op.execute("COMMENT ON COLUMN o2o.delivery_state.next_call_at IS 'the rate limit lets no call leave before'")
    op.execute(
        "COMMENT ON TABLE o2o.delivery_state IS"
        " 'One row: the circuit breaker, how long o2o asked us to wait, and the rate limit'"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE o2o.delivery_state DROP COLUMN next_call_at")
    op.execute(
        "COMMENT ON TABLE o2o.delivery_state IS 'One row: the circuit breaker, and how long o2o asked us to wait'"
    )
