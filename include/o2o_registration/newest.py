"""`incoming`: HR's newest word about each person, and what becomes of those who are not interested any more."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from o2o_registration import candidates
from o2o_registration.window import Run


def latest(run: Run) -> datetime:
    """A date of change after this is in the future: it says when a row was mistyped, not when it changed."""
    return max(run.window.until, datetime.now(UTC))


def choose(connection: sa.Connection, run: Run) -> None:
    """Leave of each person's rows the newest; the others are outdated. A no goes before the yes that is not newer.

    Rows of one moment contradict each other, which the checks name. So do rows without a date or with one in the
    future: such a row is neither newer nor older than another, and gives way to any no.
    """
    connection.execute(
        sa.text("""
            update incoming i set interested = false
            from (select source_key, max(coalesce(changed_at, 'infinity')) as at
                  from incoming where interested is false group by source_key) no
            where i.source_key = no.source_key and i.interested is not false
              and (i.changed_at is null or i.changed_at <= no.at or i.changed_at > :latest)
        """),
        {"latest": latest(run)},
    )
    # rows without employee id are different people
    connection.execute(
        sa.text("""
            update incoming i set outdated = true
            from (select source_key, max(changed_at) as at
                  from incoming
                  where interested is not false and changed_at <= :latest and source_key not like 'row:%'
                  group by source_key having min(changed_at) < max(changed_at)) newest
            where i.source_key = newest.source_key and i.interested is not false and i.changed_at < newest.at
        """),
        {"latest": latest(run)},
    )


_GONE = "(select source_key from incoming group by source_key having bool_and(interested is false))"


def withdraw(connection: sa.Connection, run: Run) -> int:
    """People whose interest HR took back before the call; what is sent or in doubt stays. Returns registrations.

    A run that has read an older yes, and still waits to build it, does not get that far.
    """
    theirs = f"source_key in {_GONE}"
    candidates.hold_others(connection, run.run_id, theirs)
    candidates.take_back(connection, theirs, {})
    withdrawn = connection.execute(
        sa.text(f"""
            with withdrawn as (
                update o2o.registration
                set status = 'withdrawn', detail = 'HR took the interest back before the call',
                    held_by = null, updated_at = now()
                where employee_id in {_GONE} and status in ('pending', 'held') and resends = 0
                returning employee_id
            )
            insert into o2o.audit (run_id, employee_id, event, detail)
            select :run_id, employee_id, 'withdrawn', 'HR took the interest back before the call' from withdrawn
        """),  # noqa: S608 - a constant of this module
        {"run_id": run.run_id},
    ).rowcount
    connection.execute(sa.text(f"delete from o2o.quarantine where {theirs}"))  # noqa: S608
    return withdrawn
