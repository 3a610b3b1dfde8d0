"""The write-ahead log of calls: claims people, commits an intent per call, records what came back."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from o2o_registration.answers import STATUS, Answer, Outcome
from o2o_registration.breaker import MAX_OPEN_SECONDS, MIN_BUSY_SECONDS, BreakerState
from o2o_registration.settings import Settings

log = logging.getLogger(__name__)

ORPHAN_MARGIN = timedelta(seconds=60)
"""An open attempt older than the longest call plus this belongs to a process that is gone: time enough to record."""
RUN_LIVES = timedelta(hours=26)
"""A run that began earlier and is not settled was ended from outside: the DAG's dagrun_timeout."""
MAX_BACKOFF_SECONDS = 6 * 3600
MAX_FAILURES = 1000
"""The count of failures in a row has an end: it is a small number in the ledger, and more of them mean nothing more."""
LATE_SECONDS = 0.02
"""Who asks this much late may catch up, or the time of each question would be lost to the rate."""


@dataclass(frozen=True)
class Intent:
    """One call that may now be made: its attempt row is committed."""

    attempt_id: int
    employee_id: str
    body: str = field(repr=False)
    """The payload as JSON."""


@dataclass(frozen=True)
class Claim:
    """People to call now, and the seconds from the question until the rate limit lets the next call leave."""

    intents: list[Intent]
    pause: float


@dataclass(frozen=True)
class Result:
    attempt_id: int
    answer: Answer


class Outbox:
    """The ledger as the delivery sees it. Every method is one short transaction; blocking."""

    def __init__(self, ledger: sa.Engine, settings: Settings, run_id: str, employee_ids: Sequence[str] = ()) -> None:
        self._ledger, self._settings, self._run_id = ledger, settings, run_id
        self._ids = list(employee_ids)
        self._orphan_age = timedelta(seconds=settings.delivery.call_seconds) + ORPHAN_MARGIN

    def claim(self, limit: int, probe: bool = False) -> Claim:
        """Claim up to `limit` due people and commit their attempts, in one statement. Oldest first.

        The rate limit is one for all who deliver from this ledger: each claim moves the instant of the next by the
        calls that it takes. A probe of an o2o that may still be down takes somebody whose one repetition out of doubt
        is not at stake.
        """
        rate = self._settings.delivery.calls_per_second
        with self._ledger.begin() as connection:
            rows = connection.execute(
                sa.text(f"""
                    with gate as materialized (
                        -- locked, so that two who ask at once do not both find it open
                        select case when next_call_at < clock_timestamp() + make_interval(secs => :most)
                                    then cast(extract(epoch from next_call_at - clock_timestamp()) as double precision)
                                    else 0 end as pause
                        from o2o.delivery_state where id = 1 for update
                    ), due as (
                        select employee_id, payload, resends
                        from o2o.registration
                        -- who was not weighed yet is another run's batch, which may have to be approved
                        where status = 'pending' and passed_fuse and not_before <= now()
                          and (cardinality(cast(:ids as text[])) = 0 or employee_id = any(:ids))
                        order by {"resends," if probe else ""} not_before, employee_id
                        limit (select case when pause > 0 then 0 else :limit end from gate)
                        for update skip locked
                    ), spent as (
                        update o2o.delivery_state
                        set next_call_at = clock_timestamp() + make_interval(secs => greatest(gate.pause, -:late)
                            + (select count(*) from due) / cast(:rate as double precision))
                        from gate where id = 1 and exists (select from due)
                    ), intent as (
                        insert into o2o.attempt (employee_id, run_id, kind)
                        select employee_id, :run_id, case when resends > 0 then 'resend' else 'first' end from due
                        returning id, employee_id
                    ), claimed as (
                        update o2o.registration r
                        set status = 'claimed', attempt_id = intent.id, detail = null, updated_at = now()
                        from intent where r.employee_id = intent.employee_id
                    )
                    select gate.pause, intent.id, due.employee_id, cast(due.payload as text)
                    from gate left join (intent join due using (employee_id)) on true
                """),  # noqa: S608 - one of two constants
                {
                    "limit": limit,
                    "run_id": self._run_id,
                    "ids": self._ids,
                    "rate": rate,
                    "late": LATE_SECONDS,
                    # nobody takes more than that at once: a clock has jumped
                    "most": limit / rate + 1,
                },
            ).all()
        intents = [Intent(*row[1:]) for row in rows if row[1] is not None]
        return Claim(intents, len(intents) / rate if intents else max(0.0, rows[0][0]))

    def record(self, results: Sequence[Result]) -> None:
        """Close attempts and settle their people. A late answer also settles an attempt that was given up."""
        with self._ledger.begin() as connection:
            connection.execute(
                sa.text("""
                    with answer as (
                        select * from jsonb_to_recordset(cast(:answers as jsonb)) as a(
                            attempt_id bigint, outcome text, status text, detail text, http_status smallint,
                            response text, milliseconds integer, wait double precision)
                    ), closed as (
                        update o2o.attempt t
                        set closed_at = clock_timestamp(), outcome = a.outcome, detail = a.detail,
                            http_status = a.http_status, response = a.response, milliseconds = a.milliseconds,
                            audited = false
                        from answer a
                        where t.id = a.attempt_id and (t.closed_at is null or t.outcome = 'in_doubt')
                        returning t.id, t.employee_id, t.started_at, a.*
                    )
                    update o2o.registration r
                    set status = c.status, detail = c.detail, updated_at = now(),
                        failures = case when c.outcome in ('not_sent', 'busy')
                                        then least(r.failures, :max_failures - 1) + 1 else 0 end,
                        not_before = case
                            when c.status = 'in_doubt' then c.started_at + cast(:cool_down as interval)
                            when c.outcome = 'not_sent' and c.wait > 0 then now() + make_interval(
                                secs => least(:max_backoff, c.wait * power(2, least(r.failures, 20))))
                            -- as long as o2o asked for, and longer each time where that did not help
                            when c.outcome = 'busy' then now() + make_interval(secs => greatest(
                                c.wait, least(:max_busy, :min_busy * power(2, least(r.failures, 20)))))
                            else now() + make_interval(secs => coalesce(c.wait, 0)) end
                    from closed c
                    where r.employee_id = c.employee_id and r.attempt_id = c.id
                      and r.status in ('claimed', 'in_doubt', 'pending')
                """),
                {
                    "answers": json.dumps([self._row(result) for result in results]),
                    "cool_down": self._settings.in_doubt.cool_down,
                    "max_backoff": MAX_BACKOFF_SECONDS,
                    "max_failures": MAX_FAILURES,
                    "min_busy": MIN_BUSY_SECONDS,
                    "max_busy": MAX_OPEN_SECONDS,
                },
            )

    def _row(self, result: Result) -> dict[str, Any]:
        answer = result.answer
        backoff = self._settings.delivery.backoff_seconds
        wait = {Outcome.NOT_SENT: backoff, Outcome.BUSY: answer.retry_after}.get(answer.outcome)
        return {
            "attempt_id": result.attempt_id,
            "outcome": answer.outcome,
            "status": STATUS[answer.outcome],
            "detail": answer.whole,
            "http_status": answer.http_status,
            "response": answer.body,
            "milliseconds": answer.milliseconds,
            "wait": wait,
        }

    def recover(self) -> int:
        """Give up attempts that a crash left open: whether they were sent cannot be known. Returns how many."""
        with self._ledger.begin() as connection:
            orphans = connection.execute(
                sa.text("""
                    with orphan as (
                        update o2o.attempt
                        set closed_at = clock_timestamp(), outcome = 'in_doubt', detail = 'left open by a crash'
                        where closed_at is null and started_at < clock_timestamp() - cast(:age as interval)
                        returning id, employee_id, started_at
                    ), doubted as (
                        update o2o.registration r
                        set status = 'in_doubt', detail = 'left open by a crash', updated_at = now(),
                            not_before = orphan.started_at + cast(:cool_down as interval)
                        from orphan
                        where r.employee_id = orphan.employee_id and r.attempt_id = orphan.id and r.status = 'claimed'
                    )
                    select count(*) from orphan
                """),
                {
                    "age": self._orphan_age,
                    "cool_down": self._settings.in_doubt.cool_down,
                },
            ).scalar_one()
        return int(orphans)

    def resend_doubtful(self) -> int:
        """Under the policy `resend`: let those in doubt be called once more after the cool-down. Returns people."""
        if self._settings.in_doubt.policy != "resend":
            return 0
        with self._ledger.begin() as connection:
            return connection.execute(
                sa.text("""
                    update o2o.registration
                    set status = 'pending', resends = resends + 1, updated_at = now()
                    where status = 'in_doubt' and resends = 0 and not_before <= now()
                """)
            ).rowcount

    def has_work(self) -> bool:
        """Whether anything waits that a run could do now: people to call, doubts to clear, answers to audit."""
        with self._ledger.begin() as connection:
            found = connection.execute(
                sa.text("""
                    select exists (select from o2o.registration where status = 'pending' and not_before <= now())
                        or exists (select from o2o.registration where status = 'in_doubt' and :resend
                                   and resends = 0 and not_before <= now())
                        or exists (select from o2o.attempt where closed_at is null
                                   and started_at < clock_timestamp() - cast(:age as interval))
                        or exists (select from o2o.attempt where closed_at is not null and not audited)
                """),
                {"resend": self._settings.in_doubt.policy == "resend", "age": self._orphan_age},
            ).scalar_one()
        return bool(found)

    def another_comes_back(self) -> bool:
        """Whether an older run that is not settled yet was put off by o2o: it waits, or is about to."""
        with self._ledger.begin() as connection:
            found = connection.execute(
                sa.text("""
                    select exists (
                        select from o2o.run_summary other join o2o.run_summary mine on mine.run_id = :run_id
                        where (other.started_at, other.run_id) < (mine.started_at, mine.run_id)
                          and other.settled_at is null and other.started_at > now() - cast(:alive as interval)
                          and exists (select from o2o.attempt t where t.run_id = other.run_id
                                      and t.outcome in ('busy', 'not_sent', 'in_doubt')))
                """),
                {"run_id": self._run_id, "alive": RUN_LIVES},
            ).scalar_one()
        return bool(found)

    def due(self) -> int:
        """People that could be called now."""
        return self._scalar("select count(*) from o2o.registration where {mine} and not_before <= now()") or 0

    def next_due(self) -> float | None:
        """Seconds until the next pending person may be called; None when nobody is pending."""
        seconds: float | None = self._scalar("""
            -- not greatest(): it takes null, which is nobody, for 0, which is at once
            select cast(extract(epoch from min(not_before) - now()) as double precision)
            from o2o.registration where {mine}
        """)
        return seconds

    def _scalar(self, sql: str) -> Any:
        mine = (
            "status = 'pending' and passed_fuse and (cardinality(cast(:ids as text[])) = 0 or employee_id = any(:ids))"
        )
        with self._ledger.begin() as connection:
            return connection.scalar(sa.text(sql.format(mine=mine)), {"ids": self._ids})

    def load_breaker(self) -> BreakerState:
        with self._ledger.begin() as connection:
            row = connection.execute(
                sa.text("""
                    select failures, openings, detail, cast(greatest(0, coalesce(
                        extract(epoch from wait_until - now()), 0)) as double precision)
                    from o2o.delivery_state where id = 1
                """)
            ).one()
        return BreakerState(failures=row[0], openings=row[1], detail=row[2], wait=row[3])

    def save_breaker(self, state: BreakerState) -> None:
        """Keep the breaker for the next run and for whoever asks why nothing is sent.

        Others deliver, too, and were told what we were not: a wait of theirs that ends later than ours stands, and so
        do their failures, unless o2o gave us a good answer since. How long o2o itself asked for, nobody shortens.
        """
        with self._ledger.begin() as connection:
            # a statement of its own, so that the next one sees what somebody saved just before us
            connection.execute(sa.text("select from o2o.delivery_state where id = 1 for update"))
            connection.execute(
                sa.text("""
                    with seen as (
                        select *, now() + make_interval(secs => :wait) as until,
                               coalesce(updated_at < now() - make_interval(secs => :good), false) as closes
                        from o2o.delivery_state where id = 1
                    ), ours as (
                        select *, until >= coalesce(wait_until, '-infinity') or closes and failures > 0 as counts
                        from seen
                    )
                    update o2o.delivery_state s
                    set failures = case when closes then :failures else greatest(s.failures, :failures) end,
                        openings = case when closes then :openings else greatest(s.openings, :openings) end,
                        detail = case when not counts then s.detail
                                      when closes then :detail else coalesce(:detail, s.detail) end,
                        wait_until = case when counts then until else s.wait_until end,
                        updated_at = now()
                    from ours where s.id = 1
                """),
                {
                    "failures": state.failures,
                    "openings": state.openings,
                    "detail": state.detail,
                    "wait": state.wait,
                    "good": state.good,
                },
            )
