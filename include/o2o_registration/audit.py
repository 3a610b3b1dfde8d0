"""`attempt` -> `audit`: one row per outcome, the run's numbers, and the proof that they add up."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import sqlalchemy as sa

from o2o_registration.answers import REPEATABLE
from o2o_registration.errors import ConservationError
from o2o_registration.window import advance_watermark


@dataclass(frozen=True)
class Summary:
    """The numbers of one run. Rows: extracted = known + quarantined + registered. Calls: this run's, by outcome.

    `pending`, `held`, `in_doubt_now` are people in the whole ledger; `in_doubt_since` is the first call of the one
    who has been in doubt longest, UTC as ISO 8601.
    """

    extracted: int
    known: int
    quarantined: int
    registered: int
    withdrawn: int
    calls: int
    created: int
    existing: int
    rejected: int
    in_doubt: int
    not_processed: int
    pending: int
    held: int
    in_doubt_now: int
    in_doubt_since: str | None

    def as_dict(self) -> dict[str, int | str | None]:
        return asdict(self)

    def doubt(self) -> str:
        """How many are in doubt and since when, in a sentence; empty when nobody is."""
        if not self.in_doubt_now:
            return ""
        return f"{self.in_doubt_now:,} people are in doubt, the first since {self.in_doubt_since}"


def load(ledger: sa.Engine) -> int:
    """Write the audit rows of all closed attempts that have none, whichever run made them. Returns rows."""
    with ledger.begin() as connection:
        return connection.execute(
            sa.text("""
                with closed as (
                    update o2o.attempt set audited = true
                    where closed_at is not null and not audited
                    returning id, closed_at, run_id, employee_id, outcome, http_status, detail, kind
                )
                insert into o2o.audit (at, run_id, employee_id, attempt_id, event, http_status, detail)
                select closed_at, run_id, employee_id, id, outcome, http_status,
                       concat_ws(' ', case when kind = 'resend' then '(repeated out of doubt)' end, detail)
                from closed
                order by id
                on conflict (attempt_id, event) do nothing
            """)
        ).rowcount


def settle(ledger: sa.Engine, run_id: str) -> Summary:
    """Close the run: prove its arithmetic, write `run_summary`, drop its candidates, move the watermark.

    Raises ConservationError, and then changes nothing.
    """
    with ledger.begin() as connection:
        _count(connection, run_id)
        summary = read_summary(connection, run_id)
        faults = [*_arithmetic(summary), *_ledger_faults(connection, run_id)]
        if faults:
            raise ConservationError(
                f"The numbers of run {run_id} do not add up: {'; '.join(faults)}. Nothing was settled and the"
                " window will be read again. Look at o2o.run_summary, o2o.candidate and o2o.attempt of this run."
            )
        connection.execute(sa.text("delete from o2o.candidate where run_id = :run_id"), {"run_id": run_id})
        connection.execute(
            sa.text("update o2o.run_summary set settled_at = now() where run_id = :run_id"),
            {"run_id": run_id},
        )
        advance_watermark(connection, run_id)
    return summary


def _count(connection: sa.Connection, run_id: str) -> None:
    connection.execute(
        sa.text("""
            update o2o.run_summary s
            set (calls, created, existing, rejected, in_doubt, not_processed) = (
                    select count(*),
                           count(*) filter (where outcome = 'created'),
                           count(*) filter (where outcome = 'existing'),
                           count(*) filter (where outcome = 'rejected'),
                           count(*) filter (where outcome = 'in_doubt' or outcome is null),
                           count(*) filter (where outcome = any(:without_effect))
                    from o2o.attempt where run_id = :run_id),
                pending = (select count(*) from o2o.registration where status = 'pending')
            where run_id = :run_id
        """),
        {"run_id": run_id, "without_effect": [outcome.value for outcome in REPEATABLE]},
    )


def read_summary(connection: sa.Connection, run_id: str) -> Summary:
    row = connection.execute(
        sa.text("""
            select s.*,
                   (select count(*) from o2o.registration where status = 'held') as held,
                   (select count(*) from o2o.registration where status = 'in_doubt') as in_doubt_now,
                   (select to_char(min(t.started_at) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
                    from o2o.registration r join o2o.attempt t using (employee_id)
                    where r.status = 'in_doubt') as in_doubt_since
            from o2o.run_summary s where s.run_id = :run_id
        """),
        {"run_id": run_id},
    ).one()
    return Summary(**{field.name: getattr(row, field.name) for field in fields(Summary)})


def _arithmetic(summary: Summary) -> list[str]:
    faults = []
    if summary.extracted != summary.known + summary.quarantined + summary.registered:
        faults.append(
            f"{summary.extracted} rows were extracted, but {summary.known} known + {summary.quarantined}"
            f" quarantined + {summary.registered} registered were accounted for"
        )
    told = summary.created + summary.existing + summary.rejected + summary.in_doubt + summary.not_processed
    if summary.calls != told:
        faults.append(f"{summary.calls} calls were made, but {told} outcomes are known")
    return faults


def _ledger_faults(connection: sa.Connection, run_id: str) -> list[str]:
    """Each check reads an index of exceptions, so that it costs the same however large the ledger has grown."""
    checks = {
        "closed attempts of this run without an audit row": """
            select count(*) from o2o.attempt t where t.run_id = :run_id and t.audited
              and not exists (select from o2o.audit a where a.attempt_id = t.id and a.event = t.outcome)
        """,
        "people claimed although their attempt is closed": """
            select count(*) from o2o.registration r join o2o.attempt t on t.id = r.attempt_id
            where r.status = 'claimed' and t.closed_at is not null
        """,
        "people claimed without an attempt": """
            select count(*) from o2o.registration r where r.status = 'claimed' and not exists (
                select from o2o.attempt t where t.id = r.attempt_id)
        """,
        "rows checked good but neither registered nor known": """
            select count(*) from o2o.candidate where run_id = :run_id and reasons is null
        """,
    }
    faults = []
    for what, sql in checks.items():
        parameters = {"run_id": run_id} if ":run_id" in sql else {}
        if count := connection.scalar(sa.text(sql), parameters):
            faults.append(f"{count} {what}")
    return faults
