"""What a person decides by hand: o2o has somebody, somebody is to be sent again, a held batch may go.

Each leaves one audit row per person with who decided and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from o2o_registration.errors import ConfigurationError
from o2o_registration.privacy import reasons


class Action(StrEnum):
    """As the trigger form and the command line name them."""

    CONFIRM = "confirm in doubt"
    RELEASE = "release in doubt"
    APPROVE = "approve held"
    RETRY = "send refused again"
    HOLD = "hold pending"


@dataclass(frozen=True)
class _Effect:
    """People of a status `from_` get status `to`; their audit rows say `event`. All means all of the first status.

    The registration has the `detail` alone: the reason is somebody's words, and the page's lists are read by many.
    """

    from_: tuple[str, ...]
    to: str
    event: str
    detail: str
    resends: int = 0


_EFFECTS = {
    # somebody held may have been called by a ledger that was lost, see the runbook on restoring one
    Action.CONFIRM: _Effect(("in_doubt", "held"), "existing", "confirmed", "o2o has this person"),
    # counts as the one repetition: a second doubt is for a person to clear, not for the policy
    Action.RELEASE: _Effect(("in_doubt",), "pending", "released", "to be sent again", resends=1),
    Action.APPROVE: _Effect(("held",), "pending", "approved", "to be sent although held"),
    Action.RETRY: _Effect(("rejected",), "pending", "released", "to be sent again although refused"),
    Action.HOLD: _Effect(("pending",), "held", "held", "held by hand"),
}


_OR_ELSE = {Action.RETRY: " (or forgotten, or another has the address)"}
"""Why somebody of that status is left alone all the same."""


@dataclass(frozen=True)
class Order:
    """What to do, to whom (no ids: to all whom it can concern), who decided and why."""

    action: Action
    employee_ids: tuple[str, ...]
    actor: str
    why: str

    def __post_init__(self) -> None:
        if not self.why.strip():
            raise ConfigurationError(
                f"'{self.action}' needs a reason: the audit keeps who decided, and why. Fill in 'why'."
            )


@dataclass(frozen=True)
class Waiting:
    """Somebody in doubt or held; `since` the first call, or when the hold began."""

    employee_id: str
    since: datetime
    calls: int
    detail: str


def carry_out(ledger: sa.Engine, order: Order, run_id: str | None = None) -> tuple[str, ...]:
    """Returns the employee ids that it concerned; others that were named are not in that state (any more).

    For a run, only the first time: cleared later, it would meet other people than its trigger form meant.
    """
    effect = _EFFECTS[order.action]
    from_ = effect.from_ if order.employee_ids else effect.from_[:1]
    with ledger.begin() as connection:
        if run_id is not None and not _first_time(connection, run_id):
            return ()
        done = connection.scalars(
            sa.text("""
                with meant as (
                    select employee_id, email_key,
                           row_number() over (partition by email_key order by updated_at desc, employee_id) as nth
                    from o2o.registration r
                    where status = any(:from_) and (cardinality(cast(:ids as text[])) = 0 or employee_id = any(:ids))
                      -- where the payload is gone, only the HR row brings a refused person back
                      and forgotten_at is null
                      -- a refused person's address may belong to somebody else by now
                      and (status <> 'rejected' or not exists (
                          select from o2o.registration other
                          where other.email_key = r.email_key and other.employee_id <> r.employee_id
                            and other.status not in ('rejected', 'withdrawn')))
                ), concerned as (
                    update o2o.registration r
                    set status = :to, held_by = null, not_before = now(), updated_at = now(), passed_fuse = true,
                        resends = resends + :resends, detail = :detail
                    from meant
                    -- ... or to another who was refused later, of whom HR may mean the same
                    where r.employee_id = meant.employee_id and (meant.nth = 1 or meant.email_key is null)
                      and r.status = any(:from_)
                    returning r.employee_id
                )
                select employee_id from concerned order by employee_id
            """),
            {
                "from_": list(from_),
                "to": effect.to,
                "detail": effect.detail,
                "resends": effect.resends,
                "ids": list(order.employee_ids),
            },
        ).all()
        if done:
            why = reasons.redacted(connection, order.why, order.employee_ids, done)
            _audit(connection, effect, done, f"{effect.detail}: {why}", order.actor, run_id)
    return tuple(done)


def _audit(
    connection: sa.Connection, effect: _Effect, done: Sequence[str], words: str, actor: str, run_id: str | None
) -> None:
    connection.execute(
        sa.text("""
            insert into o2o.audit (run_id, employee_id, event, detail, actor)
            select :run_id, employee_id, :event, :words, :actor from unnest(cast(:done as text[])) as employee_id
        """),
        {"run_id": run_id, "done": list(done), "event": effect.event, "words": words, "actor": actor},
    )


def _first_time(connection: sa.Connection, run_id: str) -> bool:
    claimed = connection.execute(
        sa.text("update o2o.run_summary set acted_at = now() where run_id = :run_id and acted_at is null"),
        {"run_id": run_id},
    )
    return claimed.rowcount == 1


def waiting(ledger: sa.Engine, status: str) -> list[Waiting]:
    """Everybody `in_doubt` or `held`, the longest first."""
    with ledger.connect() as connection:
        rows = connection.execute(
            sa.text("""
                select r.employee_id, coalesce(min(t.started_at), r.updated_at), count(t.id), coalesce(r.detail, '')
                from o2o.registration r left join o2o.attempt t using (employee_id)
                where r.status = :status
                group by r.employee_id order by 2, 1
            """),
            {"status": status},
        )
        return [Waiting(*row) for row in rows]


def concerns(order: Order, done: Sequence[str]) -> str:
    """One line for a log or a terminal: how many, and who of those named was not in that state."""
    line = f"{order.action}: {len(done):,} people ({order.actor})"
    missed = sorted(set(order.employee_ids) - set(done))
    expected = " or ".join(_EFFECTS[order.action].from_) + _OR_ELSE.get(order.action, "")
    return line + (f"; not {expected}, so left alone: {', '.join(missed)}" if missed else "")
