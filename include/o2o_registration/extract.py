"""HR warehouse -> `candidate`: streams a window's rows and drops those that are already known and unchanged."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

import sqlalchemy as sa

from o2o_registration import candidates, dialects, newest, recheck, tls, window
from o2o_registration.config import SOURCE_FIELDS, Config, Mapping
from o2o_registration.errors import O2OError, WarehouseError, driver_words
from o2o_registration.ledger.copying import copying
from o2o_registration.privacy import pseudonyms
from o2o_registration.privacy.pseudonyms import Pseudonyms
from o2o_registration.progress import Progress
from o2o_registration.text import clean, email_key, storable

log = logging.getLogger(__name__)

_YES = {"true", "t", "yes", "y", "1", "on"}
_NO = {"false", "f", "no", "n", "0", "off", "", None}
_UNCLEAR = json.dumps(
    [{"code": "interest_unclear", "words": "HR does not say clearly whether this person is interested."}]
)
MAX_EMPLOYEE_ID = 64


@dataclass(frozen=True)
class Extracted:
    """extracted = known + candidates, in rows; `withdrawn` in people."""

    extracted: int
    known: int
    candidates: int
    withdrawn: int


@dataclass(frozen=True)
class SourceRow:
    """One row as HR has it, every value as text; `changed_at` UTC."""

    values: tuple[str | None, ...]
    changed_at: datetime | None
    interested: bool | None

    @property
    def employee_id(self) -> str | None:
        return self.values[0]

    @property
    def fingerprint(self) -> str:
        """Changes when anything that o2o would get to see changes; the date of change alone is no change."""
        content = "\x1f".join("\x00" if value is None else value for value in self.values)
        return hashlib.blake2b(content.encode(), digest_size=12).hexdigest()


def extract(
    warehouse: sa.Engine, ledger: sa.Engine, config: Config, run: window.Run, key: str | None = None
) -> Extracted:
    """Read the run's window into `candidate`, in one ledger transaction. Raises WarehouseError.

    Rows of people that the run names count as new unless they are registered or on their way. `key` is the one for
    pseudonyms; ConfigurationError where the ledger needs it and it is none or another.
    """
    with ledger.begin() as connection:
        candidates.read_alone(connection)
        keys = pseudonyms.enter(connection, key)
        window.open_run(connection, run)
        connection.execute(sa.text(_INCOMING))
        read = _stage(warehouse, connection, config, run, keys)
        connection.execute(sa.text("analyze incoming"))
        if keys:
            _recognise_forgotten(connection, run)
        newest.choose(connection, run)
        withdrawn = 0 if run.dry_run else newest.withdraw(connection, run)
        recheck.park(connection, config.mapping, run.run_id)
        recheck.stage(connection, config.mapping, run, read)
        unknown = _keep_unknown(connection, config.mapping, run)
        rows = connection.scalar(sa.text("select count(*) from incoming where interested is not false")) or 0
        result = Extracted(rows, rows - unknown, unknown, withdrawn)
        connection.execute(
            sa.text("""
                update o2o.run_summary set extracted = :extracted, known = :known, withdrawn = :withdrawn
                where run_id = :run_id
            """),
            {"extracted": rows, "known": result.known, "withdrawn": withdrawn, "run_id": run.run_id},
        )
        connection.execute(sa.text("drop table incoming"))
    return result


_INCOMING = """
    create temporary table incoming (
        row_no bigint, employee_id text, personnel_number text, first_name text, last_name text, email text,
        language text, contract_type text, company text, changed_at timestamptz, interested boolean,
        fingerprint text, email_key text, source_key text, reasons jsonb, recheck boolean default false,
        pseudonym text, forgotten boolean default false, outdated boolean default false
    ) on commit drop
"""
_COPY = """
    copy incoming (row_no, employee_id, personnel_number, first_name, last_name, email, language, contract_type,
                   company, changed_at, interested, fingerprint, email_key, source_key, reasons, pseudonym) from stdin
"""
_COLUMNS = (*SOURCE_FIELDS, "changed_at", "fingerprint", "email_key", "source_key", "reasons")


def _stage(
    warehouse: sa.Engine, connection: sa.Connection, config: Config, run: window.Run, keys: Pseudonyms | None
) -> int:
    wanted = set(run.employee_ids)
    progress = Progress(log, "Reading the HR warehouse")
    staged = 0
    with copying(connection, _COPY) as copy:
        for rows in _read(warehouse, config, run.window):
            for row in rows:
                if wanted and clean(row.employee_id) not in wanted:
                    continue
                staged += 1
                copy.write_row(_staged(staged, row, keys))
            progress.add(len(rows))
    return staged


def _read(warehouse: sa.Engine, config: Config, span: window.Window) -> Iterator[list[SourceRow]]:
    chunk = config.settings.window.chunk_rows
    try:
        with warehouse.connect() as connection:
            dialects.speak_utc(connection)
            connection.execution_options(stream_results=True, yield_per=chunk)
            with connection.execute(sa.text(config.extract_sql), dialects.bounds(connection, span)) as result:
                positions = _positions(list(result.keys()), config)
                for rows in result.partitions(chunk):
                    yield [_source_row(row, positions) for row in rows]
    except O2OError:
        raise
    except Exception as error:  # noqa: BLE001 - a driver's own conversions raise any kind, and quote values
        raise WarehouseError(
            f"The HR warehouse refused {config.sql_source}: {driver_words(error)}."
            f" Check the SQL, the connection '{config.client.warehouse}' and that the database answers."
            f" Nothing was kept of this window; the next run reads it again.{tls.hint(error)}"
        ) from None


def _positions(names: Sequence[str], config: Config) -> dict[str, int]:
    lowered = [name.lower() for name in names]
    positions = {}
    for field, column in config.mapping.columns.model_dump().items():
        if column.lower() not in lowered:
            raise WarehouseError(
                f"The extract returns no column '{column}', which {config.mapping_source} (columns.{field}) names."
                f" It returns: {', '.join(names)}. Mend {config.sql_source} or {config.mapping_source}."
            )
        positions[field] = lowered.index(column.lower())
    return positions


def _source_row(row: Sequence[Any], positions: dict[str, int]) -> SourceRow:
    return SourceRow(
        values=tuple(storable(row[positions[field]]) for field in SOURCE_FIELDS),
        changed_at=_instant(row[positions["changed_at"]]),
        interested=_interested(row[positions["interested"]]),
    )


def _instant(value: object) -> datetime | None:
    """Any driver's date as UTC; without a zone it is taken as UTC; None for what is no date."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime) or value != value:
        return None
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        # the first and the last day of the calendar, in a zone that pushes them over its edge
        return None


def _interested(value: object) -> bool | None:
    """None where HR's word for it is not understood."""
    if value in (b"\x00", b"\x01"):
        # MySQL's bit(1)
        return value == b"\x01"
    text = storable(value)
    text = text and text.strip().lower()
    if text in _NO:
        return False
    return True if text in _YES else None


def _staged(row_no: int, row: SourceRow, keys: Pseudonyms | None) -> tuple[Any, ...]:
    fingerprint, mail = row.fingerprint, email_key(row.values[4])
    if keys:
        fingerprint, mail = keys.fingerprint(fingerprint), keys.email(mail)
    employee = clean(row.employee_id)
    source_key = employee if 0 < len(employee) <= MAX_EMPLOYEE_ID else f"row:{fingerprint}"
    return (
        row_no,
        *row.values,
        row.changed_at,
        row.interested,
        fingerprint,
        mail,
        source_key,
        _UNCLEAR if row.interested is None else None,
        keys.person(source_key) if keys else None,
    )


def _recognise_forgotten(connection: sa.Connection, run: window.Run) -> None:
    """Rows of people whom the ledger knows by pseudonym alone: known, like any other who was called or erased."""
    connection.execute(
        sa.text("""
            update incoming i set forgotten = true
            from o2o.registration r
            where r.employee_id = i.pseudonym
              and (r.erased_at is not null or r.status in ('created', 'existing')
                   or r.status = 'rejected' and r.fingerprint = i.fingerprint and not :named)
        """),
        {"named": bool(run.employee_ids)},
    )
    # a row without employee id is an erased person's when it has their address
    connection.execute(
        sa.text("""
            update incoming i set forgotten = true
            from o2o.registration r
            where i.source_key like 'row:%' and r.email_key = i.email_key and r.erased_at is not null
        """)
    )


def _keep_unknown(connection: sa.Connection, mapping: Mapping, run: window.Run) -> int:
    """Move what is neither known, outdated nor a repetition within the batch from `incoming` to `candidate`."""
    # HR still has these rows; another row of the same person that fails must not take their place in quarantine
    connection.execute(
        sa.text("""
            update o2o.quarantine q set run_id = :run_id
            from incoming i where q.source_key = i.source_key and q.fingerprint = i.fingerprint
        """),
        {"run_id": run.run_id},
    )
    columns = ", ".join(_COLUMNS)
    return connection.execute(
        sa.text(f"""
            insert into o2o.candidate (run_id, row_no, {columns})
            select :run_id, row_no, {columns}
            from (
                -- of repetitions the one whose date can be believed
                select i.*, min(fingerprint) over person = max(fingerprint) over person as alone,
                    row_number() over (
                        partition by source_key, fingerprint
                        order by changed_at is null or changed_at > :latest, changed_at desc, row_no) as copy
                from incoming i
                where interested is not false and not outdated
                window person as (partition by source_key)
            ) i
            where copy = 1 and not forgotten
              and not exists (select from o2o.registration r where {_ON_THE_WAY})
              and (:named or recheck or not exists (select from o2o.quarantine q where {_SET_ASIDE}))
        """),  # noqa: S608 - the columns and conditions are constants of this module
        {
            "run_id": run.run_id,
            "rules": mapping.fingerprint,
            "named": bool(run.employee_ids),
            "latest": newest.latest(run),
        },
    ).rowcount


_ON_THE_WAY = """
    r.employee_id = i.source_key
    and (r.status in ('created', 'existing', 'claimed', 'in_doubt')
         or r.status in ('pending', 'held') and r.resends > 0
         or r.status in ('pending', 'held') and r.fingerprint = i.fingerprint
         or r.status = 'rejected' and r.fingerprint = i.fingerprint and not :named)
"""
# the fingerprint tells neither whether the person is interested, nor when the row changed, nor of other rows
_SET_ASIDE = """
    q.source_key = i.source_key and q.fingerprint = i.fingerprint and q.rules = :rules
    and (q.reasons @> '[{"code": "interest_unclear"}]') = (i.interested is null)
    and not (q.reasons @> '[{"code": "changed_at_missing"}]' and i.changed_at is not null)
    and not (q.reasons @> '[{"code": "changed_at_in_future"}]'
             and i.changed_at is distinct from cast(q.row ->> 'changed_at' as timestamptz))
    -- rows of one moment are in a window together, or one of them is gone
    and not (q.reasons @> '[{"code": "employee_id_conflict"}]'
             and i.alone and i.changed_at is not null and i.changed_at <= :latest)
"""
