"""`candidate` -> verdicts: runs the checks over a run's rows, sets the bad ones aside, stops a broken batch."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from o2o_registration import candidates, fuse
from o2o_registration.building import quarantine
from o2o_registration.config import SOURCE_FIELDS, Config
from o2o_registration.errors import TooManyBadRows
from o2o_registration.ledger.copying import copying
from o2o_registration.privacy import pseudonyms
from o2o_registration.progress import Progress
from o2o_registration.quality import COLUMNS, QualityResult, QualityRules, merge
from o2o_registration.window import BEGINNING

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checked:
    """Verdicts in rows; `reasons` counts rows per reason code, most frequent first."""

    rows: int
    bad: int
    reasons: dict[str, int]
    warnings: tuple[str, ...]
    docs: Path | None


def check(
    ledger: sa.Engine,
    config: Config,
    run_id: str,
    docs_folder: Path | None = None,
    max_bad_share: float | None = None,
) -> Checked:
    """Check a run's candidates and quarantine the bad ones, with every reason. Raises TooManyBadRows."""
    with ledger.begin() as connection:
        pseudonyms.share(connection)
        candidates.hold(connection, run_id)
        _forget_verdicts(connection, run_id)
        result = _verdicts(connection, config, run_id)
        if result is None:
            return Checked(0, 0, {}, (), None)
        reasons = _reasons(connection, run_id)
        bad, new, new_bad = _count(connection, run_id)
        share = config.settings.quality.max_bad_share if max_bad_share is None else max_bad_share
        stopped = new >= config.settings.quality.min_rows and new_bad > share * new
        dry = _is_dry(connection, run_id)
        if not dry:
            _set_aside_outdated(connection, run_id)
        quarantine(connection, run_id, None if stopped or dry else config.mapping.fingerprint)
        connection.execute(
            sa.text("""
                update o2o.run_summary set checked_at = now(), quarantined = :bad where run_id = :run_id
            """),
            {"bad": bad, "run_id": run_id},
        )
    docs = _write_docs(docs_folder, run_id, result)
    if stopped:
        raise TooManyBadRows(new, new_bad, share, reasons)
    warnings = tuple(finding.words for finding in result.findings)
    return Checked(result.rows, bad, reasons, warnings, docs)


def _forget_verdicts(connection: sa.Connection, run_id: str) -> None:
    """Of an earlier try of this task, or of the build; only what the extract said of a row is no verdict."""
    connection.execute(
        sa.text("""
            update o2o.candidate
            set reasons = nullif(jsonb_path_query_array(reasons, '$[*] ? (@.code == "interest_unclear")'), '[]')
            where run_id = :run_id and reasons is not null
        """),
        {"run_id": run_id},
    )


def _verdicts(connection: sa.Connection, config: Config, run_id: str) -> QualityResult | None:
    """None without rows: then neither pandas nor Great Expectations is loaded."""
    total = connection.scalar(sa.text("select count(*) from o2o.candidate where run_id = :run_id"), {"run_id": run_id})
    if not total:
        return None
    from o2o_registration.quality.check import check as check_chunk

    rules = _rules(connection, config, run_id)
    progress = Progress(log, "Checking rows", total)
    results = []
    connection.execute(
        sa.text("create temporary table verdict (row_no bigint primary key, reasons jsonb) on commit drop")
    )
    for frame in _frames(connection, run_id, config.settings.window.chunk_rows):
        result = check_chunk(frame, rules)
        _write(connection, result)
        results.append(result)
        progress.add(len(frame))
    connection.execute(
        sa.text("""
            update o2o.candidate c
            set reasons = coalesce(c.reasons, '[]') || v.reasons
            from verdict v where c.run_id = :run_id and c.row_no = v.row_no
        """),
        {"run_id": run_id},
    )
    return merge(results)


def _rules(connection: sa.Connection, config: Config, run_id: str) -> QualityRules:
    since, until = connection.execute(
        sa.text("select window_since, window_until from o2o.run_summary where run_id = :run_id"),
        {"run_id": run_id},
    ).one()
    usual = fuse.usual_volume(connection)
    return QualityRules(
        languages=frozenset(config.mapping.languages),
        contract_types=frozenset(config.mapping.contract_types),
        companies=frozenset(config.mapping.bike_plans),
        window_since=None if since in (None, BEGINNING) else since,
        # rows that are looked at again may be younger than the window of a backfill
        window_until=max(until, datetime.now(UTC)),
        expected_volume_max=None if usual is None else fuse.limit(config.settings.fuse, usual),
        max_lag=config.settings.window.lookback,
    )


def _frames(connection: sa.Connection, run_id: str, chunk: int) -> Iterator[pd.DataFrame]:
    import pandas as pd

    fields = ", ".join(f"c.{name}" for name in SOURCE_FIELDS)
    # materialised first: a cursor may not stay open while the same connection copies verdicts
    connection.execute(
        sa.text("""
            create temporary table context on commit drop as
            select c.row_no,
                   count(*) over (partition by c.source_key) as rows_with_employee_id,
                   case when c.email_key is null then 1
                        else dense_rank() over (partition by c.email_key order by c.source_key)
                             + dense_rank() over (partition by c.email_key order by c.source_key desc) - 1
                   end as people_with_email,
                   r.employee_id as email_registered_to
            from o2o.candidate c
            left join o2o.registration r
                on r.email_key = c.email_key and r.employee_id <> c.source_key
                and r.status not in ('rejected', 'withdrawn')
            where c.run_id = :run_id
        """),
        {"run_id": run_id},
    )
    connection.execute(sa.text("create unique index on context (row_no)"))
    last = -1
    while True:
        # in UTC: told in the session's zone, the calendar's first and last day may be beyond what Python can hold
        rows = connection.execute(
            sa.text(f"""
                select c.row_no, {fields}, c.changed_at at time zone 'UTC',
                       x.rows_with_employee_id, x.people_with_email, x.email_registered_to
                from o2o.candidate c join context x using (row_no)
                where c.run_id = :run_id and c.row_no > :last
                order by c.row_no
                limit :chunk
            """),  # noqa: S608 - the fields are constants
            {"run_id": run_id, "last": last, "chunk": chunk},
        ).all()
        if not rows:
            return
        last = rows[-1][0]
        frame = pd.DataFrame.from_records(rows, columns=list(COLUMNS))
        frame["changed_at"] = pd.to_datetime(frame["changed_at"], utc=True)
        yield frame


def _write(connection: sa.Connection, result: QualityResult) -> None:
    with copying(connection, "copy verdict from stdin") as copy:
        for row_no, reasons in result.failures.items():
            words = [{"code": reason.code, "words": reason.words} for reason in reasons]
            copy.write_row((row_no, json.dumps(words)))


def _reasons(connection: sa.Connection, run_id: str) -> dict[str, int]:
    rows = connection.execute(
        sa.text("""
            select reason ->> 'code', count(*)
            from o2o.candidate cross join lateral jsonb_array_elements(reasons) as reason
            where run_id = :run_id and reasons is not null
            group by 1 order by 2 desc, 1
        """),
        {"run_id": run_id},
    )
    return {row[0]: row[1] for row in rows}


def _count(connection: sa.Connection, run_id: str) -> tuple[int, int, int]:
    """Bad rows; and of the rows that nobody judged before, all and the bad ones.

    Rows that were set aside before and are looked at again say nothing about this batch: it would be stopped for
    what an earlier one was let pass with. Those that this run has built already, before this task was cleared, do.
    """
    row = connection.execute(
        sa.text("""
            select count(reasons),
                   count(*) filter (where new) + (select registered from o2o.run_summary where run_id = :run_id),
                   count(reasons) filter (where new)
            from (
                select c.reasons, not exists (
                    select from o2o.quarantine q
                    where q.source_key = c.source_key and q.fingerprint = c.fingerprint and q.rules is not null) as new
                from o2o.candidate c where c.run_id = :run_id
            ) c
        """),
        {"run_id": run_id},
    ).one()
    return row[0], row[1], row[2]


def _is_dry(connection: sa.Connection, run_id: str) -> bool:
    return bool(
        connection.scalar(sa.text("select dry_run from o2o.run_summary where run_id = :run_id"), {"run_id": run_id})
    )


def _set_aside_outdated(connection: sa.Connection, run_id: str) -> None:
    """A person whose newer row is bad must not be sent with the older one that HR has replaced."""
    connection.execute(
        sa.text("""
            with withdrawn as (
                update o2o.registration r
                set status = 'withdrawn', detail = :why, held_by = null, updated_at = now()
                from o2o.candidate c
                where c.run_id = :run_id and c.reasons is not null and r.employee_id = c.source_key
                  and r.status in ('pending', 'held') and r.resends = 0
                  -- what a run that read the warehouse later has built is newer than this row
                  and not exists (
                      select from o2o.run_summary theirs join o2o.run_summary ours on ours.run_id = :run_id
                      where theirs.run_id = r.run_id and theirs.started_at > ours.started_at)
                returning r.employee_id
            )
            insert into o2o.audit (run_id, employee_id, event, detail)
            select :run_id, employee_id, 'withdrawn', :why from withdrawn
        """),
        {"run_id": run_id, "why": "HR changed the row, and the new one failed the checks"},
    )


def _write_docs(folder: Path | None, run_id: str, result: QualityResult) -> Path | None:
    if folder is None:
        return None
    from o2o_registration.quality.datadocs import write_page

    return write_page(result.document, run_id, folder)
