"""The mass-mail fuse: a batch that is unusually large waits for a person, since e-mails cannot be called back."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from o2o_registration.config import FuseSettings

ENOUGH_RUNS = 100
"""Fewer runs than this are no experience to compare with; then only the absolute limit counts."""


@dataclass(frozen=True)
class Reading:
    """People that this run would send for the first time, against the limit; `usual` None without experience."""

    people: int
    limit: int
    usual: float | None

    @property
    def blown(self) -> bool:
        return self.people > self.limit


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

    Holding first means that runs which come by while the question is open cannot send these people either.
    """
    with ledger.begin() as connection:
        usual = usual_volume(connection)
        people = connection.scalar(
            sa.text("""
                select count(*) from o2o.registration
                where (status = 'pending' and attempt_id is null) or (status = 'held' and held_by = :run_id)
            """),
            {"run_id": run_id},
        )
        reading = Reading(people or 0, limit(settings, usual, by_hand), usual)
        if reading.blown:
            connection.execute(
                sa.text("""
                    update o2o.registration
                    set status = 'held', held_by = :run_id, updated_at = now(),
                        detail = 'waits for a person to approve the large batch'
                    where status = 'pending' and attempt_id is null
                """),
                {"run_id": run_id},
            )
    return reading


def approve(ledger: sa.Engine, run_id: str, actor: str) -> int:
    """Let go the people that this run's fuse held; an audit row for each says who did. Returns people."""
    with ledger.begin() as connection:
        return connection.execute(
            sa.text("""
                with released as (
                    update o2o.registration
                    set status = 'pending', held_by = null, detail = null, not_before = now(), updated_at = now()
                    where status = 'held' and held_by = :run_id
                    returning employee_id
                )
                insert into o2o.audit (run_id, employee_id, event, detail, actor)
                select :run_id, employee_id, 'approved', 'large batch approved', :actor from released
            """),
            {"run_id": run_id, "actor": actor},
        ).rowcount
