"""The mass-mail fuse: a batch that is unusually large waits for a person, since e-mails cannot be called back."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from o2o_registration.settings import FuseSettings

ENOUGH_RUNS = 100
"""Fewer runs than this are no experience to compare with; then only the absolute limit counts."""


@dataclass(frozen=True)
class Reading:
    """People that this run would send and no run has weighed yet, against the limit; `usual` None without experience.

    `changed` are people whom an earlier question left held and whose HR row this run saw change; `held_before`
    those who are asked about with them although nothing changed.
    """

    people: int
    limit: int
    usual: float | None
    changed: int = 0
    held_before: int = 0

    @property
    def blown(self) -> bool:
        return self.people > self.limit

    @property
    def asks(self) -> bool:
        """Whether a person must decide: the batch is too large, or something changed for people who are held."""
        return self.blown or self.changed > 0


def usual_volume(connection: sa.Connection) -> float | None:
    """The 95th percentile of people per run over 30 days; None below ENOUGH_RUNS runs."""
    usual: float | None = connection.scalar(
        sa.text("""
            select case when count(*) >= :enough
                        then percentile_cont(0.95) within group (order by registered) end
            from o2o.run_summary
            where settled_at is not null and not dry_run and started_at > now() - interval '30 days'
        """),
        {"enough": ENOUGH_RUNS},
    )
    return usual


def limit(settings: FuseSettings, usual: float | None, by_hand: int | None = None) -> int:
    """How many people a run may send unasked. Pure; a limit given in the trigger form goes before the settings."""
    if by_hand is not None:
        return by_hand
    if usual is None:
        return settings.max_people
    return min(settings.max_people, max(settings.min_people, int(settings.times_usual * usual)))


def weigh(ledger: sa.Engine, settings: FuseSettings, run_id: str, by_hand: int | None = None) -> Reading:
    """Weigh what is due against the limit; when it is over, hold it at once, before anybody is asked.

    Holding first means that runs which come by while the question is open cannot send these people either. A
    question that is asked takes along everybody whom an earlier one left held.
    """
    with ledger.begin() as connection:
        _forget_dead_questions(connection, settings, run_id)
        usual = usual_volume(connection)
        changed, before = connection.execute(
            sa.text("""
                select count(*) filter (where held_by = :run_id), count(*) filter (where held_by is null)
                from o2o.registration where status = 'held'
            """),
            {"run_id": run_id},
        ).one()
        most = limit(settings, usual, by_hand)
        reading = Reading(_weigh_fresh(connection, run_id, most), most, usual, changed, before)
        if reading.asks:
            connection.execute(
                sa.text("""
                    update o2o.registration set held_by = :run_id, updated_at = now(), detail = :detail
                    where status = 'held' and held_by is null
                """),
                {"run_id": run_id, "detail": _WAITS},
            )
    return reading


_WAITS = "waits for a person to approve the large batch"


def _weigh_fresh(connection: sa.Connection, run_id: str, most: int) -> int:
    """Let the fresh people pass, or hold them all when they are more than `most`. Returns how many they are.

    One statement: whom another run builds meanwhile is neither counted nor let go by this one. What has passed and is
    still being sent when the next run comes by is no new batch.
    """
    return connection.execute(
        sa.text("""
            with fresh as materialized (
                -- refused people whose HR row changed, too: many of them at once are as large a batch
                select employee_id from o2o.registration where status = 'pending' and not passed_fuse for update
            ), weighed as (
                select count(*) > :most as blown from fresh
            )
            update o2o.registration r
            set passed_fuse = not blown,
                status = case when blown then 'held' else r.status end,
                held_by = case when blown then :run_id else r.held_by end,
                detail = case when blown then :detail else r.detail end,
                updated_at = case when blown then now() else r.updated_at end
            from fresh, weighed
            where r.employee_id = fresh.employee_id
        """),
        {"run_id": run_id, "most": most, "detail": _WAITS},
    ).rowcount


def _forget_dead_questions(connection: sa.Connection, settings: FuseSettings, run_id: str) -> None:
    """A run that was ended from outside while it asked will not take an answer any more."""
    connection.execute(
        sa.text("""
            update o2o.registration r
            set held_by = null
            from o2o.run_summary s
            where r.status = 'held' and r.held_by = s.run_id and s.run_id <> :run_id
              and (s.settled_at is not null or s.started_at < now() - make_interval(hours => 1, secs => :open))
        """),
        {"run_id": run_id, "open": settings.answer_hours * 3600},
    )


def approve(ledger: sa.Engine, run_id: str, actor: str) -> int:
    """Let go the people that this run's fuse held; an audit row for each says who did. Returns people."""
    return _answer(ledger, run_id, "pending", "approved", "large batch approved", actor)


def reject(ledger: sa.Engine, run_id: str, actor: str, why: str) -> int:
    """Leave them held until something changes or somebody releases them; audited likewise. Returns people.

    `why` is a phrase of the pipeline's, never what somebody typed: lists and logs show it.
    """
    return _answer(ledger, run_id, "held", "held", why, actor)


def _answer(ledger: sa.Engine, run_id: str, status: str, event: str, why: str, actor: str) -> int:
    with ledger.begin() as connection:
        return connection.execute(
            sa.text("""
                with answered as (
                    update o2o.registration
                    set status = :status, held_by = null, not_before = now(), updated_at = now(),
                        passed_fuse = :status = 'pending', detail = case when :status = 'held' then :why end
                    where status = 'held' and held_by = :run_id
                    returning employee_id
                )
                insert into o2o.audit (run_id, employee_id, event, detail, actor)
                select :run_id, employee_id, :event, :why, :actor from answered
            """),
            {"run_id": run_id, "status": status, "event": event, "why": why, "actor": actor},
        ).rowcount
