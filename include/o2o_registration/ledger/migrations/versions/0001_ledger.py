"""The ledger's first form."""

from alembic import op

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE o2o.candidate (
    run_id TEXT NOT NULL,
    row_no BIGINT NOT NULL,
    employee_id TEXT,
    personnel_number TEXT,
    first_name TEXT,
    last_name TEXT,
    email TEXT,
    language TEXT,
    contract_type TEXT,
    company TEXT,
    changed_at TIMESTAMP WITH TIME ZONE,
    fingerprint TEXT NOT NULL,
    email_key TEXT,
    source_key TEXT NOT NULL,
    reasons JSONB,
    PRIMARY KEY (run_id, row_no)
);
COMMENT ON TABLE o2o.candidate IS 'The rows of one run, gone when the run is settled';
COMMENT ON COLUMN o2o.candidate.reasons IS 'null while nothing speaks against the row';
CREATE TABLE o2o.quarantine (
    source_key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    employee_id TEXT,
    email_key TEXT,
    row JSONB NOT NULL,
    reasons JSONB NOT NULL,
    rules TEXT,
    run_id TEXT NOT NULL,
    quarantined_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (source_key, fingerprint)
);
CREATE INDEX ix_quarantine_email_key ON o2o.quarantine (email_key);
CREATE INDEX ix_quarantine_employee_id ON o2o.quarantine (employee_id);
CREATE INDEX ix_quarantine_rules ON o2o.quarantine (rules);
COMMENT ON TABLE o2o.quarantine IS 'Source rows that failed a check, with every reason';
COMMENT ON COLUMN o2o.quarantine.source_key IS 'employee id, or row:fingerprint where it has none';
COMMENT ON COLUMN o2o.quarantine.reasons IS '[{code, words}]';
COMMENT ON COLUMN o2o.quarantine.rules IS 'fingerprint of the rules it failed; null when its whole batch was stopped';
CREATE TABLE o2o.registration (
    employee_id TEXT NOT NULL,
    status TEXT NOT NULL,
    email_key TEXT NOT NULL,
    payload JSONB NOT NULL,
    fingerprint TEXT NOT NULL,
    run_id TEXT NOT NULL,
    attempt_id BIGINT,
    not_before TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    failures SMALLINT DEFAULT '0' NOT NULL,
    resends SMALLINT DEFAULT '0' NOT NULL,
    held_by TEXT,
    detail TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (employee_id)
);
CREATE INDEX ix_registration_pending ON o2o.registration (not_before, employee_id) WHERE status = 'pending';
CREATE INDEX ix_registration_unsettled ON o2o.registration (status, not_before) WHERE status IN ('claimed', 'held', 'in_doubt');
CREATE UNIQUE INDEX ux_registration_email_key ON o2o.registration (email_key) WHERE status NOT IN ('rejected', 'withdrawn');
COMMENT ON TABLE o2o.registration IS 'One row per employee';
COMMENT ON COLUMN o2o.registration.run_id IS 'the run that built the payload';
COMMENT ON COLUMN o2o.registration.attempt_id IS 'the last call';
COMMENT ON COLUMN o2o.registration.not_before IS 'no call earlier than this';
COMMENT ON COLUMN o2o.registration.failures IS 'calls in a row not processed';
COMMENT ON COLUMN o2o.registration.resends IS 'calls repeated out of doubt';
COMMENT ON COLUMN o2o.registration.held_by IS 'the run whose fuse held it';
COMMENT ON COLUMN o2o.registration.detail IS 'why it has this status';
CREATE TABLE o2o.attempt (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    employee_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    closed_at TIMESTAMP WITH TIME ZONE,
    outcome TEXT,
    http_status SMALLINT,
    milliseconds INTEGER,
    detail TEXT,
    response TEXT,
    audited BOOLEAN DEFAULT false NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX ix_attempt_employee_id ON o2o.attempt (employee_id);
CREATE INDEX ix_attempt_open ON o2o.attempt (started_at) WHERE closed_at IS NULL;
CREATE INDEX ix_attempt_run_id ON o2o.attempt (run_id);
CREATE INDEX ix_attempt_unaudited ON o2o.attempt (id) WHERE closed_at IS NOT NULL AND NOT audited;
COMMENT ON TABLE o2o.attempt IS 'Write-ahead log of calls: committed before the call leaves, closed when its answer is in';
COMMENT ON COLUMN o2o.attempt.kind IS 'first, or resend out of doubt';
COMMENT ON COLUMN o2o.attempt.detail IS 'what happened, without personal data';
COMMENT ON COLUMN o2o.attempt.response IS 'the raw answer, bounded';
CREATE TABLE o2o.audit (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    run_id TEXT,
    employee_id TEXT NOT NULL,
    attempt_id BIGINT,
    event TEXT NOT NULL,
    http_status SMALLINT,
    detail TEXT,
    actor TEXT DEFAULT 'pipeline' NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT uq_audit_attempt_event UNIQUE (attempt_id, event)
);
CREATE INDEX ix_audit_employee_id ON o2o.audit (employee_id);
CREATE INDEX ix_audit_run_id ON o2o.audit (run_id);
COMMENT ON TABLE o2o.audit IS 'Append-only: one row per outcome';
CREATE TABLE o2o.run_summary (
    run_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    window_since TIMESTAMP WITH TIME ZONE,
    window_until TIMESTAMP WITH TIME ZONE NOT NULL,
    dry_run BOOLEAN DEFAULT false NOT NULL,
    contiguous BOOLEAN NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    checked_at TIMESTAMP WITH TIME ZONE,
    settled_at TIMESTAMP WITH TIME ZONE,
    extracted INTEGER DEFAULT '0' NOT NULL,
    known INTEGER DEFAULT '0' NOT NULL,
    quarantined INTEGER DEFAULT '0' NOT NULL,
    registered INTEGER DEFAULT '0' NOT NULL,
    withdrawn INTEGER DEFAULT '0' NOT NULL,
    calls INTEGER DEFAULT '0' NOT NULL,
    created INTEGER DEFAULT '0' NOT NULL,
    existing INTEGER DEFAULT '0' NOT NULL,
    rejected INTEGER DEFAULT '0' NOT NULL,
    in_doubt INTEGER DEFAULT '0' NOT NULL,
    not_processed INTEGER DEFAULT '0' NOT NULL,
    pending INTEGER DEFAULT '0' NOT NULL,
    PRIMARY KEY (run_id)
);
CREATE INDEX ix_run_summary_started_at ON o2o.run_summary (started_at);
COMMENT ON TABLE o2o.run_summary IS 'The numbers of one run; calls and below count the calls that the run made';
COMMENT ON COLUMN o2o.run_summary.window_since IS 'null: from the beginning';
COMMENT ON COLUMN o2o.run_summary.contiguous IS 'whether success may move the watermark';
CREATE TABLE o2o.watermark (
    source TEXT NOT NULL,
    until TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (source)
);
COMMENT ON TABLE o2o.watermark IS 'Everything that changed before this instant has been read';
CREATE TABLE o2o.delivery_state (
    id SMALLINT NOT NULL,
    failures INTEGER DEFAULT '0' NOT NULL,
    openings INTEGER DEFAULT '0' NOT NULL,
    wait_until TIMESTAMP WITH TIME ZONE,
    detail TEXT,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id)
);
COMMENT ON TABLE o2o.delivery_state IS 'One row: the circuit breaker, and how long o2o asked us to wait';
"""

# The audit is what an auditor reads: not even the pipeline's own code can change what was written
APPEND_ONLY = """
CREATE FUNCTION o2o.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'o2o.audit is append-only: write a new row that corrects the old one';
END $$;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON o2o.audit
    FOR EACH STATEMENT EXECUTE FUNCTION o2o.refuse_change();
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(APPEND_ONLY)
    op.execute("INSERT INTO o2o.delivery_state (id) VALUES (1)")
