"""Indexes for looking people up and for paging through worklists."""

from alembic import op

revision = "0003"
down_revision = "0002"

# HR's text may be of any length, and an index takes only so much
INDEXES = """
CREATE INDEX ix_registration_any_email_key ON o2o.registration (email_key);
CREATE INDEX ix_registration_personnel_number ON o2o.registration
    ("left"(payload -> 'user' ->> 'PersonnelNumber', 100));
CREATE INDEX ix_registration_worklist ON o2o.registration (status, updated_at, employee_id)
    WHERE status IN ('rejected', 'in_doubt', 'held');
CREATE INDEX ix_quarantine_personnel_number ON o2o.quarantine ("left"("row" ->> 'personnel_number', 100));
CREATE INDEX ix_quarantine_worklist ON o2o.quarantine (quarantined_at, source_key);
CREATE INDEX ix_audit_at ON o2o.audit (at);
"""


def upgrade() -> None:
    op.execute(INDEXES)


def downgrade() -> None:
    op.execute("""
        DROP INDEX o2o.ix_registration_any_email_key, o2o.ix_registration_personnel_number,
            o2o.ix_registration_worklist, o2o.ix_quarantine_personnel_number, o2o.ix_quarantine_worklist,
            o2o.ix_audit_at
    """)
