"""Indexes for looking people up and for paging through worklists."""

from alembic import op

revision = "0003"
down_revision = "0002"

INDEXES = """
CREATE INDEX ix_registration_any_email_key ON o2o.registration (email_key);
CREATE INDEX ix_registration_personnel_number ON o2o.registration ((payload -> 'user' ->> 'PersonnelNumber'));
CREATE INDEX ix_registration_worklist ON o2o.registration (status, updated_at, employee_id)
    WHERE status IN ('rejected', 'in_doubt', 'held');
CREATE INDEX ix_quarantine_personnel_number ON o2o.quarantine (("row" ->> 'personnel_number'));
CREATE INDEX ix_quarantine_worklist ON o2o.quarantine (quarantined_at, source_key);
CREATE INDEX ix_audit_at ON o2o.audit (at);
"""


def upgrade() -> None:
    op.execute(INDEXES)
