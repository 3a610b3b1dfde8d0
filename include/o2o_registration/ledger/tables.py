"""The ledger's tables, PostgreSQL schema `o2o`. Changed by Alembic only; a test compares the two."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from o2o_registration.config import SOURCE_FIELDS

SCHEMA = "o2o"
metadata = MetaData(schema=SCHEMA)
_NOW = text("now()")
_TIME = DateTime(timezone=True)


def _count(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default="0")


candidate = Table(
    "candidate",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("row_no", BigInteger, primary_key=True, autoincrement=False),
    *(Column(name, Text) for name in SOURCE_FIELDS),
    Column("changed_at", _TIME),
    Column("fingerprint", Text, nullable=False),
    Column("email_key", Text),
    Column("source_key", Text, nullable=False),
    Column("reasons", JSONB, comment="null while nothing speaks against the row"),
    comment="The rows of one run, gone when the run is settled",
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("source_key", Text, primary_key=True, comment="employee id, or row:fingerprint where it has none"),
    Column("fingerprint", Text, primary_key=True),
    Column("employee_id", Text),
    Column("email_key", Text),
    Column("row", JSONB, nullable=False),
    Column("reasons", JSONB, nullable=False, comment="[{code, words}]"),
    # nor is the verdict of a dry run final
    Column("rules", Text, comment="fingerprint of the rules it failed; null when its whole batch was stopped"),
    Column("run_id", Text, nullable=False),
    Column("quarantined_at", _TIME, nullable=False, server_default=_NOW),
    Index("ix_quarantine_email_key", "email_key"),
    Index("ix_quarantine_employee_id", "employee_id"),
    Index("ix_quarantine_rules", "rules"),
    Index("ix_quarantine_personnel_number", text("left(row ->> 'personnel_number', 100)")),
    Index("ix_quarantine_worklist", "quarantined_at", "source_key"),
    comment="Source rows that failed a check, with every reason",
)

registration = Table(
    "registration",
    metadata,
    Column("employee_id", Text, primary_key=True),
    Column("status", Text, nullable=False),
    Column("email_key", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("run_id", Text, nullable=False, comment="the run that built the payload"),
    Column("attempt_id", BigInteger, comment="the last call"),
    Column("not_before", _TIME, nullable=False, server_default=_NOW, comment="no call earlier than this"),
    Column("failures", SmallInteger, nullable=False, server_default="0", comment="calls in a row not processed"),
    Column("resends", SmallInteger, nullable=False, server_default="0", comment="calls repeated out of doubt"),
    Column("held_by", Text, comment="the run whose fuse held it"),
    Column("detail", Text, comment="why it has this status"),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
    Column("updated_at", _TIME, nullable=False, server_default=_NOW),
    Column(
        "passed_fuse",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="in a batch that was small enough, or approved",
    ),
    Column("forgotten_at", _TIME, comment="when name, address and payload were deleted"),
    Column("erased_at", _TIME, comment="when the person was erased on request: never called again"),
    CheckConstraint(
        "forgotten_at IS NULL OR status IN ('created', 'existing', 'rejected', 'withdrawn')",
        name="ck_registration_forgotten_is_settled",
    ),
    Index(
        "ux_registration_email_key",
        "email_key",
        unique=True,
        postgresql_where=text("status NOT IN ('rejected', 'withdrawn')"),
    ),
    Index(
        "ix_registration_pending",
        "not_before",
        "employee_id",
        postgresql_where=text("status = 'pending'"),
    ),
    Index(
        "ix_registration_unsettled",
        "status",
        "not_before",
        postgresql_where=text("status IN ('claimed', 'held', 'in_doubt')"),
    ),
    Index("ix_registration_any_email_key", "email_key"),
    Index("ix_registration_personnel_number", text("left((payload -> 'user') ->> 'PersonnelNumber', 100)")),
    Index(
        "ix_registration_worklist",
        "status",
        "updated_at",
        "employee_id",
        postgresql_where=text("status IN ('rejected', 'in_doubt', 'held')"),
    ),
    comment="One row per employee",
)

attempt = Table(
    "attempt",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("employee_id", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("kind", Text, nullable=False, comment="first, or resend out of doubt"),
    Column("started_at", _TIME, nullable=False, server_default=text("clock_timestamp()")),
    Column("closed_at", _TIME),
    Column("outcome", Text),
    Column("http_status", SmallInteger),
    Column("milliseconds", Integer),
    Column("detail", Text, comment="what happened, without personal data"),
    Column("response", Text, comment="the raw answer, bounded"),
    Column("audited", Boolean, nullable=False, server_default=text("false")),
    Index("ix_attempt_employee_id", "employee_id"),
    Index("ix_attempt_run_id", "run_id"),
    Index("ix_attempt_open", "started_at", postgresql_where=text("closed_at IS NULL")),
    Index(
        "ix_attempt_unaudited",
        "id",
        postgresql_where=text("closed_at IS NOT NULL AND NOT audited"),
    ),
    comment="Write-ahead log of calls: committed before the call leaves, closed when its answer is in",
)

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", _TIME, nullable=False, server_default=_NOW),
    Column("run_id", Text),
    Column("employee_id", Text, nullable=False),
    Column("attempt_id", BigInteger),
    Column("event", Text, nullable=False),
    Column("http_status", SmallInteger),
    Column("detail", Text),
    Column("actor", Text, nullable=False, server_default="pipeline"),
    UniqueConstraint("attempt_id", "event", name="uq_audit_attempt_event"),
    Index("ix_audit_employee_id", "employee_id"),
    Index("ix_audit_run_id", "run_id"),
    Index("ix_audit_at", "at"),
    comment="Append-only: one row per outcome; an employee id may become a pseudonym, nothing else may change",
)

run_summary = Table(
    "run_summary",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("window_since", _TIME, comment="null: from the beginning"),
    Column("window_until", _TIME, nullable=False),
    Column("dry_run", Boolean, nullable=False, server_default=text("false")),
    Column("contiguous", Boolean, nullable=False, comment="whether success may move the watermark"),
    Column("started_at", _TIME, nullable=False, server_default=_NOW),
    Column("checked_at", _TIME),
    Column("settled_at", _TIME),
    *(_count(name) for name in ("extracted", "known", "quarantined", "registered", "withdrawn")),
    *(_count(name) for name in ("calls", "created", "existing", "rejected", "in_doubt", "not_processed")),
    _count("pending"),
    Column("acted_at", _TIME, comment="when the action of the trigger form was carried out"),
    Index("ix_run_summary_started_at", "started_at"),
    comment="The numbers of one run; calls and below count the calls that the run made",
)

watermark = Table(
    "watermark",
    metadata,
    Column("source", Text, primary_key=True),
    Column("until", _TIME, nullable=False),
    comment="Everything that changed before this instant has been read",
)

delivery_state = Table(
    "delivery_state",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("openings", Integer, nullable=False, server_default="0"),
    Column("wait_until", _TIME),
    Column("detail", Text),
    Column("updated_at", _TIME, nullable=False, server_default=_NOW),
    Column(
        "next_call_at", _TIME, nullable=False, server_default=_NOW, comment="the rate limit lets no call leave before"
    ),
    comment="One row: the circuit breaker, how long o2o asked us to wait, and the rate limit",
)

privacy_key = Table(
    "privacy_key",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("check_value", Text, nullable=False, comment="tells whether a key is the adopted one"),
    Column("adopted_at", _TIME, nullable=False, server_default=_NOW),
    comment="At most one row: since it is there, e-mail keys and fingerprints are keyed pseudonyms",
)

maintenance = Table(
    "maintenance",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("run_id", Text, nullable=False),
    Column("at", _TIME, nullable=False, server_default=_NOW),
    Column("counts", JSONB, nullable=False, comment="what was forgotten"),
    comment="One row per run of the maintenance",
)

owner = Table(
    "owner",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("client", Text, nullable=False),
    Column("since", _TIME, nullable=False, server_default=_NOW),
    Column("server", Text, comment="the host of o2o at which they are registered; another's run calls nobody"),
    CheckConstraint("id = 1", name="ck_owner_one_row"),
    comment="At most one row: the client whose people are here; no other client's run touches them",
)
