"""Which rows a run reads: an explicit window of the change column, without gaps however long Airflow was down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from o2o_registration import candidates
from o2o_registration.errors import ConfigurationError

BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)
"""Older than any HR row, and a date that every SQL dialect can compare."""


@dataclass(frozen=True)
class Window:
    """Rows whose change column lies in [since, until), both UTC."""

    since: datetime
    until: datetime

    def __post_init__(self) -> None:
        if self.since > self.until:
            raise ConfigurationError(
                f"The window begins ({self.since:%Y-%m-%d %H:%M}) after it ends ({self.until:%Y-%m-%d %H:%M}):"
                " mend 'since' and 'until' in the trigger form."
            )


@dataclass(frozen=True)
class Run:
    """One run of the DAG: what it is called, what it was asked to do."""

    run_id: str
    kind: str
    window: Window
    contiguous: bool
    """Whether this run's success may move the watermark: it read all that changed since the last one."""
    employee_ids: tuple[str, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True)
class Request:
    """What Airflow and the trigger form say about a run; times UTC."""

    run_id: str
    kind: str
    interval: tuple[datetime, datetime] | None
    run_after: datetime
    since: datetime | None = None
    until: datetime | None = None
    employee_ids: Sequence[str] = ()
    dry_run: bool = False


def plan(request: Request, watermark: datetime | None, lookback: timedelta) -> Run:
    """The window of a run. Pure.

    A window given by hand is taken as it is; a backfill reads its interval; every other run begins where the last
    successful one ended, and each begins `lookback` earlier for rows that reach the warehouse late.
    """
    ids = tuple(dict.fromkeys(one.strip() for one in request.employee_ids if one.strip()))
    by_hand = request.since is not None or request.until is not None
    until = request.until or (request.interval[1] if request.interval else request.run_after)
    if by_hand or ids:
        since = request.since or BEGINNING
    elif request.kind == "backfill" and request.interval:
        since = request.interval[0] - lookback
    elif watermark is None:
        since = BEGINNING
    else:
        since = min(watermark, request.interval[0] if request.interval else request.run_after) - lookback
    window = Window(max(since, BEGINNING), until)
    reached = BEGINNING if watermark is None else watermark
    contiguous = not ids and not request.dry_run and window.since <= reached
    return Run(request.run_id, request.kind, window, contiguous, ids, request.dry_run)


def read_watermark(connection: sa.Connection) -> datetime | None:
    """Everything that changed before this instant has been read; None before the first success."""
    until: datetime | None = connection.scalar(sa.text("select until from o2o.watermark where source = 'hr'"))
    return until


def advance_watermark(connection: sa.Connection, run_id: str) -> None:
    """Move the watermark to the end of a settled run's window, never back and never past what was read."""
    connection.execute(
        sa.text("""
            insert into o2o.watermark (source, until)
            select 'hr', least(window_until, started_at) from o2o.run_summary where run_id = :run_id and contiguous
            on conflict (source) do update set until = greatest(watermark.until, excluded.until)
        """),
        {"run_id": run_id},
    )


def open_run(connection: sa.Connection, run: Run) -> None:
    """Write the run's row, and forget what an earlier try of the same run had read."""
    candidates.hold(connection, run.run_id)
    connection.execute(sa.text("delete from o2o.candidate where run_id = :run_id"), {"run_id": run.run_id})
    connection.execute(
        sa.text("""
            -- not now(), which was before this run had its turn to read
            insert into o2o.run_summary (run_id, kind, window_since, window_until, dry_run, contiguous, started_at)
            values (:run_id, :kind, :since, :until, :dry_run, :contiguous, clock_timestamp())
            on conflict (run_id) do update set
                kind = excluded.kind, window_since = excluded.window_since, window_until = excluded.window_until,
                dry_run = excluded.dry_run, contiguous = excluded.contiguous, started_at = excluded.started_at,
                checked_at = null, settled_at = null,
                extracted = 0, known = 0, quarantined = 0, registered = 0, withdrawn = 0
        """),
        {
            "run_id": run.run_id,
            "kind": run.kind,
            "since": None if run.window.since == BEGINNING else run.window.since,
            "until": run.window.until,
            "dry_run": run.dry_run,
            "contiguous": run.contiguous,
        },
    )
