"""`incoming`: HR's newest word about each person, where HR keeps each change as a row of its own."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

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
