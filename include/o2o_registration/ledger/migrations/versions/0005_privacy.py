"""People can be forgotten: their data goes, the facts stay under a pseudonym."""

from alembic import op

revision = "0005"
down_revision = "0004"

COLUMNS = """
ALTER TABLE o2o.registration ADD COLUMN forgotten_at TIMESTAMP WITH TIME ZONE;
COMMENT ON COLUMN o2o.registration.forgotten_at IS 'when name, address and payload were deleted';
ALTER TABLE o2o.registration ADD COLUMN erased_at TIMESTAMP WITH TIME ZONE;
COMMENT ON COLUMN o2o.registration.erased_at IS 'when the person was erased on request: never called again';
ALTER TABLE o2o.registration ADD CONSTRAINT ck_registration_forgotten_is_settled
    CHECK (forgotten_at IS NULL OR status IN ('created', 'existing', 'rejected', 'withdrawn'));
CREATE TABLE o2o.privacy_key (
    id SMALLINT NOT NULL,
    check_value TEXT NOT NULL,
    adopted_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id)
);
COMMENT ON TABLE o2o.privacy_key IS 'At most one row: since it is there, e-mail keys and fingerprints are keyed pseudonyms';
COMMENT ON COLUMN o2o.privacy_key.check_value IS 'tells whether a key is the adopted one';
CREATE TABLE o2o.maintenance (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    run_id TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    counts JSONB NOT NULL,
    PRIMARY KEY (id)
);
COMMENT ON TABLE o2o.maintenance IS 'One row per run of the maintenance';
COMMENT ON COLUMN o2o.maintenance.counts IS 'what was forgotten';
COMMENT ON TABLE o2o.audit IS 'Append-only: one row per outcome; an employee id may become a pseudonym, nothing else may change';
"""

# The one exception of the append-only audit is a form, not a person or a switch: whoever updates a row can do
# nothing but put a pseudonym in the place of an employee id, once, and drop the words beside the facts
ONE_EXCEPTION = """
CREATE FUNCTION o2o.refuse_all_but_pseudonyms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF old.employee_id LIKE 'pseudonym:%' OR new.employee_id !~ '^pseudonym:[0-9a-f]{32}$'
       OR coalesce(new.detail, '(repeated out of doubt)') <> '(repeated out of doubt)'
       OR row(new.id, new.at, new.run_id, new.attempt_id, new.event, new.http_status, new.actor)
          IS DISTINCT FROM row(old.id, old.at, old.run_id, old.attempt_id, old.event, old.http_status, old.actor)
    THEN
        RAISE EXCEPTION 'o2o.audit is append-only: write a new row that corrects the old one';
    END IF;
    RETURN new;
END $$;
DROP TRIGGER audit_is_append_only ON o2o.audit;
CREATE TRIGGER audit_is_append_only BEFORE DELETE OR TRUNCATE ON o2o.audit
    FOR EACH STATEMENT EXECUTE FUNCTION o2o.refuse_change();
CREATE TRIGGER audit_changes_to_pseudonyms_alone BEFORE UPDATE ON o2o.audit
    FOR EACH ROW EXECUTE FUNCTION o2o.refuse_all_but_pseudonyms();
"""


def upgrade() -> None:
    op.execute(COLUMNS)
    op.execute(ONE_EXCEPTION)


def downgrade() -> None:
    op.execute("""
        DROP TRIGGER audit_changes_to_pseudonyms_alone ON o2o.audit;
        DROP FUNCTION o2o.refuse_all_but_pseudonyms();
        DROP TRIGGER audit_is_append_only ON o2o.audit;
        CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON o2o.audit
            FOR EACH STATEMENT EXECUTE FUNCTION o2o.refuse_change();
        COMMENT ON TABLE o2o.audit IS 'Append-only: one row per outcome';
        DROP TABLE o2o.maintenance;
        DROP TABLE o2o.privacy_key;
        ALTER TABLE o2o.registration DROP COLUMN forgotten_at, DROP COLUMN erased_at;
    """)
