"""How things stand: the funnel and its losses, registrations over time, ages, breaker, fuse, the last runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from o2o_registration import fuse
from o2o_registration.breaker import BreakerState
from o2o_registration.settings import Settings

DAYS = 30
RUNS = 20
REASONS = 12


@dataclass(frozen=True)
class Funnel:
    """People. interested >= checked >= sent >= registered; each loss is one of the `losses`."""

    interested: int
    checked: int
    sent: int
    registered: int


@dataclass(frozen=True)
class Loss:
    """People (rows, where a reason is of a quarantined row) that did not get through."""

    kind: str
    reason: str
    count: int


def overview(ledger: sa.Engine, settings: Settings) -> dict[str, Any]:
    """Everything of the overview, ready for JSON; times UTC."""
    with ledger.connect() as connection:
        statuses, uncalled = _statuses(connection)
        usual = fuse.usual_volume(connection)
        return {
            "funnel": asdict(_funnel(connection, statuses, uncalled)),
            "statuses": statuses,
            "losses": [asdict(loss) for loss in _losses(connection)],
            "days": _days(connection),
            "oldest": _oldest(connection),
            "breaker": _breaker(connection),
            "fuse": {"limit": fuse.limit(settings.fuse, usual), "usual": usual, "held": statuses.get("held", 0)},
            "runs": runs(connection),
        }


def _statuses(connection: sa.Connection) -> tuple[dict[str, int], int]:
    """People by status, and how many of all were never called."""
    rows = connection.execute(
        sa.text("select status, count(*), count(*) - count(attempt_id) from o2o.registration group by 1 order by 1")
    ).all()
    return {str(row[0]): int(row[1]) for row in rows}, sum(int(row[2]) for row in rows)


def _funnel(connection: sa.Connection, statuses: dict[str, int], uncalled: int) -> Funnel:
    checked = sum(statuses.values())
    strangers = connection.scalar(
        sa.text("""
            select count(distinct source_key) from o2o.quarantine q
            where not exists (select from o2o.registration r where r.employee_id = q.source_key)
        """)
    )
    return Funnel(
        interested=checked + (strangers or 0),
        checked=checked,
        sent=checked - uncalled,
        registered=statuses.get("created", 0) + statuses.get("existing", 0),
    )


def _losses(connection: sa.Connection) -> list[Loss]:
    rows = connection.execute(
        sa.text("""
            (select 'quarantined', reason ->> 'code', count(*)
             from o2o.quarantine cross join lateral jsonb_array_elements(reasons) as reason
             group by 2 order by 3 desc, 2 limit :most)
            union all
            (select status, coalesce(detail, ''), count(*) from o2o.registration
             where status in ('rejected', 'in_doubt', 'held') group by 1, 2 order by 3 desc, 2 limit :most)
        """),
        {"most": REASONS},
    )
    return [Loss(*row) for row in rows]


def _days(connection: sa.Connection) -> list[dict[str, Any]]:
    rows = connection.execute(
        sa.text("""
            select cast(extract(epoch from day) as bigint) as at,
                   count(a.id) filter (where a.event = 'created') as created,
                   count(a.id) filter (where a.event in ('existing', 'confirmed')) as existing,
                   count(a.id) filter (where a.event = 'rejected') as rejected
            from generate_series(date_trunc('day', now()) - make_interval(days => :days - 1),
                                 date_trunc('day', now()), interval '1 day') as day
            left join o2o.audit a on a.at >= day and a.at < day + interval '1 day'
            group by day order by day
        """),
        {"days": DAYS},
    )
    return [dict(row._mapping) for row in rows]


def _oldest(connection: sa.Connection) -> dict[str, str | None]:
    row = connection.execute(
        sa.text("""
            select (select min(created_at) from o2o.registration where status = 'pending') as pending,
                   (select min(t.started_at) from o2o.registration r join o2o.attempt t using (employee_id)
                    where r.status = 'in_doubt') as in_doubt
        """)
    ).one()
    return {"pending": moment(row.pending), "in_doubt": moment(row.in_doubt)}


def _breaker(connection: sa.Connection) -> dict[str, Any]:
    row = connection.execute(
        sa.text("select failures, openings, detail, wait_until, wait_until > now() as waiting from o2o.delivery_state")
    ).one()
    return {
        "open": BreakerState(row.failures, row.openings).is_open,
        "failures": row.failures,
        "waiting_until": moment(row.wait_until) if row.waiting else None,
        "detail": row.detail,
    }


def runs(connection: sa.Connection, run_id: str | None = None) -> list[dict[str, Any]]:
    """The last runs with their arithmetic, or one of them."""
    rows = connection.execute(
        sa.text("""
            select run_id, kind, dry_run, window_since, window_until, started_at, settled_at, extracted, known,
                   quarantined, registered, withdrawn, calls, created, existing, rejected, in_doubt, not_processed
            from o2o.run_summary
            where cast(:run_id as text) is null or run_id = :run_id
            order by started_at desc limit :most
        """),
        {"run_id": run_id, "most": RUNS},
    )
    return [
        {name: moment(value) if isinstance(value, datetime) else value for name, value in row._mapping.items()}
        for row in rows
    ]


def moment(value: datetime | None) -> str | None:
    """UTC as ISO 8601, for JSON."""
    return None if value is None else value.isoformat(timespec="seconds")
