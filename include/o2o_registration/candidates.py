"""`candidate`: a run's rows between its stages. One stage at a time has them, and HR may take them back."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from o2o_registration.ledger import patiently

# Everybody locks in this order, so that nobody waits for somebody who waits for them: the turn to read, summaries of
# runs, candidates, registrations, quarantine.


def read_alone(connection: sa.Connection) -> None:
    """Begin to read the warehouse: runs do so one after the other, until their transaction ends.

    Who reads later sees what HR says later, and finds the candidates of all who read before.
    """
    patiently(connection, "select pg_advisory_xact_lock(hashtext('o2o_extract'))")


def hold(connection: sa.Connection, run_id: str) -> None:
    """Begin a stage over a run's candidates: nobody else touches them until the transaction ends.

    The other may be a try of the same task that is thought dead, or a run that has read that HR takes some back.
    """
    patiently(connection, "select from o2o.run_summary where run_id = :run_id for update", run_id=run_id)


def hold_others(connection: sa.Connection, run_id: str, whose: str) -> None:
    """As `hold`, for all other runs that have candidates of these people."""
    patiently(
        connection,
        f"""
            select from o2o.run_summary
            where run_id <> :run_id and run_id in (select run_id from o2o.candidate where {whose})
            order by run_id for update
        """,  # noqa: S608 - a constant of the caller
        run_id=run_id,
    )


def take_back(connection: sa.Connection, whose: str, parameters: dict[str, Any]) -> None:
    """Their runs have counted the rows, and go on as if they had been known."""
    connection.execute(
        sa.text(f"""
            with deleted as (
                delete from o2o.candidate where {whose} returning run_id, reasons
            ), counted as (
                select run_id, count(*) as rows, count(reasons) as bad from deleted group by run_id
            )
            update o2o.run_summary s
            set known = known + c.rows, quarantined = quarantined - case when checked_at is null then 0 else c.bad end
            from counted c where s.run_id = c.run_id
        """),  # noqa: S608 - a constant of the caller
        parameters,
    )
