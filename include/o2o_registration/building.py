"""`candidate` -> `registration`: the checked rows become people to be registered, `pending`."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from o2o_registration import candidates
from o2o_registration.config import SOURCE_FIELDS, Config
from o2o_registration.errors import ConfigurationError
from o2o_registration.ledger import patiently
from o2o_registration.ledger.copying import copying
from o2o_registration.payloads import Payload, build_payload
from o2o_registration.privacy import pseudonyms
from o2o_registration.privacy.pseudonyms import Pseudonyms
from o2o_registration.progress import Progress
from o2o_registration.text import clean

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Built:
    """Rows by fate; `known` are those that an overlapping run had already taken."""

    registered: int
    known: int
    quarantined: int
    employee_ids: tuple[str, ...]
    """Of the registered, at most SHOWN: for a dry run's log."""


SHOWN = 1000
MANY = 1000
"""New registrations that make PostgreSQL's statistics of the table wrong."""


def build(ledger: sa.Engine, config: Config, run_id: str, dry_run: bool = False, key: str | None = None) -> Built:
    """Upsert a `pending` registration per passed candidate; a dry run rolls everything back.

    `key` is the one for pseudonyms; ConfigurationError where the ledger needs it and it is none or another.
    """
    with ledger.connect() as connection, connection.begin() as transaction:
        keys = pseudonyms.enter(connection, key)
        candidates.hold(connection, run_id)
        # two overlapping runs must not both find the same e-mail address free
        patiently(connection, "select pg_advisory_xact_lock(hashtext('o2o_build'))")
        _stage(connection, config, run_id, keys)
        forgotten = _drop_forgotten(connection) if keys else 0
        taken = _refuse_taken(connection, run_id)
        staged = connection.scalar(sa.text("select count(*) from built")) or 0
        registered = _upsert(connection, run_id)
        if taken:
            quarantine(connection, run_id, config.mapping.fingerprint)
        result = Built(registered, staged + forgotten - registered, taken, _shown(connection))
        if dry_run:
            transaction.rollback()
        else:
            _settle_candidates(connection, run_id, result)
            if registered > MANY:
                # autovacuum comes within a minute, and until then each claim might sort them all
                connection.execute(sa.text("analyze o2o.registration"))
    if dry_run:
        with ledger.begin() as connection:
            _settle_candidates(connection, run_id, result)
    return result


def _settle_candidates(connection: sa.Connection, run_id: str, built: Built) -> None:
    """Count the candidates and drop them, in one transaction: a second try of this task counts nothing twice."""
    connection.execute(
        sa.text("""
            update o2o.run_summary
            set registered = registered + :registered, known = known + :known, quarantined = quarantined + :taken
            where run_id = :run_id
        """),
        {"registered": built.registered, "known": built.known, "taken": built.quarantined, "run_id": run_id},
    )
    connection.execute(
        sa.text("delete from o2o.candidate where run_id = :run_id and reasons is null"), {"run_id": run_id}
    )


def _stage(connection: sa.Connection, config: Config, run_id: str, keys: Pseudonyms | None) -> None:
    connection.execute(
        sa.text("""
            create temporary table built (
                employee_id text, email_key text, payload jsonb, fingerprint text, row_no bigint, pseudonym text
            ) on commit drop
        """)
    )
    names = ", ".join(SOURCE_FIELDS)
    chunk_rows = config.settings.window.chunk_rows
    progress = Progress(log, "Building payloads")
    with connection.execute(
        sa.text(f"""
            select {names}, email_key, fingerprint, row_no
            from o2o.candidate where run_id = :run_id and reasons is null
        """),  # noqa: S608 - the names are constants
        {"run_id": run_id},
        execution_options={"stream_results": True},
    ) as rows:
        for chunk in rows.partitions(chunk_rows):
            _copy(connection, chunk, config, keys)
            progress.add(len(chunk))


def _copy(connection: sa.Connection, rows: Sequence[Sequence[Any]], config: Config, keys: Pseudonyms | None) -> None:
    with copying(connection, "copy built from stdin") as copy:
        for row in rows:
            payload = _payload(tuple(row[: len(SOURCE_FIELDS)]), config)
            employee, body = clean(row[0]), json.dumps(payload, ensure_ascii=False)
            copy.write_row((employee, row[-3], body, row[-2], row[-1], keys and keys.person(employee)))


def _payload(values: tuple[str | None, ...], config: Config) -> Payload:
    try:
        return build_payload(values, config.mapping)
    except KeyError:
        # the key is a value of the row, and no business of a log
        raise ConfigurationError(
            f"{config.mapping_source} changed between this run's check_quality and build_payloads: a language, contract"
            " type or company of its rows is no longer there. Nobody was called; the next run reads and checks these"
            " rows again."
        ) from None


def _drop_forgotten(connection: sa.Connection) -> int:
    """Whoever was erased or pseudonymised since the extract, who did not know it. Returns rows.

    Somebody refused or withdrawn years ago, whose row has changed since, becomes a person again.
    """
    dropped = connection.execute(
        sa.text("""
            delete from built b using o2o.registration r
            where r.employee_id = b.pseudonym
              and (r.erased_at is not null or r.status not in ('rejected', 'withdrawn'))
        """)
    ).rowcount
    connection.execute(
        sa.text("""
            update o2o.registration r set employee_id = b.employee_id
            from built b where r.employee_id = b.pseudonym
        """)
    )
    return dropped


def _refuse_taken(connection: sa.Connection, run_id: str) -> int:
    """An overlapping run may have registered the address since the check."""
    reason = [{"code": "email_taken", "words": "Another employee is registered with this e-mail address."}]
    return connection.execute(
        sa.text("""
            with taken as (
                delete from built b
                where exists (
                    select from o2o.registration r
                    where r.email_key = b.email_key and r.employee_id <> b.employee_id
                      and r.status not in ('rejected', 'withdrawn'))
                returning row_no
            )
            update o2o.candidate set reasons = cast(:reason as jsonb)
            where run_id = :run_id and row_no in (select row_no from taken)
        """),
        {"reason": json.dumps(reason), "run_id": run_id},
    ).rowcount


def _upsert(connection: sa.Connection, run_id: str) -> int:
    """Returns rows. Whoever becomes a registration leaves the quarantine with it: an earlier delete would lose the
    person in a crash between the two. Of the others only the row that passed leaves: what another run set aside since
    is newer than what this one read.
    """
    registered: int = connection.execute(
        sa.text(f"""
            with upserted as ({_UPSERT}), forgotten as (
                delete from o2o.quarantine q using built b
                where q.source_key = b.employee_id
                  and (b.employee_id in (select employee_id from upserted)
                       or q.fingerprint = b.fingerprint and not q.reasons @> '[{{"code": "answer_awaited"}}]')
            )
            select count(*) from upserted
        """),  # noqa: S608 - constants
        {"run_id": run_id},
    ).scalar_one()
    return registered


_UPSERT = """
    insert into o2o.registration (employee_id, status, email_key, payload, fingerprint, run_id)
    select employee_id, 'pending', email_key, payload, fingerprint, :run_id from built
    on conflict (employee_id) do update set
        -- who was held stays so until a person says otherwise; held_by this run makes it ask again
        status = case when registration.status = 'held' then 'held' else 'pending' end,
        held_by = case when registration.status = 'held' then coalesce(registration.held_by, :run_id) end,
        email_key = excluded.email_key, payload = excluded.payload,
        fingerprint = excluded.fingerprint, run_id = excluded.run_id, not_before = now(),
        failures = 0, resends = 0, updated_at = now(), passed_fuse = false, forgotten_at = null,
        detail = case when registration.status = 'held' then registration.detail end
    -- what another run did to this person since we read the warehouse is newer than what we read
    where (registration.updated_at < (select started_at from o2o.run_summary where run_id = :run_id)
           -- not so if it was this run, whose check has been repeated and lets the row pass now
           or exists (select from o2o.audit a where a.employee_id = registration.employee_id
                      and a.run_id = :run_id and a.event = 'withdrawn' and a.at = registration.updated_at))
      and (registration.status in ('rejected', 'withdrawn')
           or registration.status in ('pending', 'held') and registration.resends = 0
              and registration.fingerprint <> excluded.fingerprint)
    returning employee_id
"""


def _shown(connection: sa.Connection) -> tuple[str, ...]:
    ids: Any = connection.scalars(sa.text("select employee_id from built order by employee_id limit :n"), {"n": SHOWN})
    return tuple(ids)


def quarantine(connection: sa.Connection, run_id: str, rules: str | None) -> None:
    """Copy a run's failed candidates to `quarantine`, in place of what was known of the same employees.

    `rules` None: the verdict is not final, since the whole batch was stopped or the run is dry. The rows are looked at
    again by every run that reads them, and take nobody's place: what was set aside before may be older than any window.
    """
    if rules is not None:
        connection.execute(
            sa.text("""
                delete from o2o.quarantine q
                using o2o.candidate c
                where c.run_id = :run_id and c.reasons is not null and q.source_key = c.source_key
                  and (q.run_id <> :run_id or q.fingerprint = c.fingerprint)
            """),
            {"run_id": run_id},
        )
    fields = ", ".join(f"'{name}', {name}" for name in (*SOURCE_FIELDS, "changed_at"))
    connection.execute(
        sa.text(f"""
            insert into o2o.quarantine
                (source_key, fingerprint, employee_id, email_key, row, reasons, rules, run_id)
            -- an index takes no text of any length; longer than any real id, so that it is taken for none
            select source_key, fingerprint, left(nullif(employee_id, ''), 100), email_key, jsonb_build_object({fields}),
                   reasons, :rules, run_id
            from o2o.candidate
            where run_id = :run_id and reasons is not null
            on conflict (source_key, fingerprint) do update
            set row = excluded.row, reasons = excluded.reasons, rules = excluded.rules, run_id = excluded.run_id
            where quarantine.rules is null
        """),  # noqa: S608 - the fields are constants
        {"run_id": run_id, "rules": rules},
    )
