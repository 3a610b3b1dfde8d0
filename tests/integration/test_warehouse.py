"""Time and the warehouse play tricks between runs: nobody is lost, and nobody is called twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from demo.postgres import PostgresServer
from o2o_registration import building, checking
from o2o_registration.errors import WarehouseError

from tests.integration.conftest import Pipeline, person

FIVE_MINUTES = timedelta(minutes=5)


def scheduled(pipeline: Pipeline, until: datetime) -> int:
    """The scheduler's run for the five minutes before; how many people it registered."""
    return pipeline.run(kind="scheduled", interval=(until - FIVE_MINUTES, until), run_after=until).created


def test_a_warehouse_that_refuses_to_show_its_rows_is_named_and_read_again(pipeline: Pipeline) -> None:
    """Somebody revoked a right: the database's words, no data, and all are registered once it is granted."""
    pipeline.hire(person(1), person(2))
    allowed = pipeline.warehouse
    # any role but the owner
    stranger = {"options": "-c role=pg_monitor"}
    pipeline.warehouse = sa.create_engine(allowed.url, poolclass=sa.NullPool, connect_args=stranger)
    with pytest.raises(WarehouseError, match=r"permission denied for schema hr.*'hr_warehouse'") as caught:
        pipeline.run()
    assert "Janssens" not in str(caught.value)
    pipeline.warehouse = allowed
    assert pipeline.run().created == 2


def test_a_restarted_warehouse_is_read_as_if_nothing_had_happened(pipeline: Pipeline, postgres: PostgresServer) -> None:
    """Between two runs, of warehouse and ledger both; each run connects anew to the one."""
    pipeline.hire(person(1))
    assert pipeline.run().created == 1
    pipeline.warehouse.dispose()
    postgres.restart()
    pipeline.hire(person(2))
    assert pipeline.run().created == 1
    assert sorted(employee for employee, _ in pipeline.mails()) == ["E1", "E2"]


def test_the_order_of_the_rows_does_not_matter(pipeline: Pipeline) -> None:
    """Chunks of another order hold other rows; the people are the same, and known."""
    pipeline.settings("window", chunk_rows=7)
    pipeline.hire(*(person(n) for n in range(30)), *(person(n) for n in range(10)), person(30, work_email="x"))
    sql = pipeline.config.extract_sql
    first = pipeline.run()
    assert (first.extracted, first.known, first.quarantined, first.created) == (41, 10, 1, 30)
    for order in ("employee_id desc", "work_email", "random()"):
        pipeline.config = type(pipeline.config)(
            pipeline.config.settings, pipeline.config.mapping, f"{sql} order by {order}"
        )
        again = pipeline.run()
        assert (again.extracted, again.known, again.calls) == (41, 41, 0)


def test_people_of_the_days_when_airflow_was_down_are_registered_by_the_first_run_after(pipeline: Pipeline) -> None:
    """The scheduler skips the runs it missed; the window begins at the watermark, not at the interval."""
    now = datetime.now(UTC)
    down = now - timedelta(days=3)
    scheduled(pipeline, down)
    pipeline.hire(*(person(n, changed_at=down + timedelta(hours=n)) for n in range(72)))
    assert scheduled(pipeline, now) == 72
    assert scheduled(pipeline, now + FIVE_MINUTES) == 0


@pytest.mark.parametrize("last_task", ["extract", "check", "build"])
def test_what_a_failed_run_had_begun_the_next_one_finishes(pipeline: Pipeline, last_task: str) -> None:
    """Nobody clears the failed run, and it is days until the next: all of its people are registered once."""
    pipeline.hire(person(1), person(2))
    then = datetime.now(UTC) - timedelta(days=3)
    scheduled(pipeline, then)
    run = pipeline.read(kind="scheduled", interval=(then, then + timedelta(days=3)))
    if last_task in ("check", "build"):
        checking.check(pipeline.ledger, pipeline.config, run.run_id)
    if last_task == "build":
        building.build(pipeline.ledger, pipeline.config, run.run_id)
    pipeline.hire(person(3))
    assert scheduled(pipeline, datetime.now(UTC) + timedelta(seconds=1)) == 3
    assert sorted(employee for employee, _ in pipeline.mails()) == ["E1", "E2", "E3"]


def test_a_clock_that_jumps_ahead_and_back_loses_nobody(pipeline: Pipeline) -> None:
    """The watermark follows the ledger's clock: a run from next year has not read what changes tomorrow."""
    now = datetime.now(UTC)
    pipeline.hire(person(1))
    assert scheduled(pipeline, now + timedelta(days=365)) == 1
    pipeline.hire(person(2, changed_at=now - timedelta(hours=20)), person(3))
    assert scheduled(pipeline, now + timedelta(seconds=1)) == 2
    assert scheduled(pipeline, now - timedelta(days=30)) == 0
    pipeline.hire(person(4))
    assert scheduled(pipeline, datetime.now(UTC) + timedelta(seconds=1)) == 1


def test_a_row_that_reaches_the_warehouse_hours_late_is_registered(pipeline: Pipeline) -> None:
    """Its date of change lies in windows that were read long ago, but within the lookback."""
    now = datetime.now(UTC)
    for minutes in (15, 10, 5):
        scheduled(pipeline, now - timedelta(minutes=minutes))
    pipeline.hire(*(person(hours, changed_at=now - timedelta(hours=hours)) for hours in (1, 8, 23)))
    assert scheduled(pipeline, now) == 3


@pytest.mark.parametrize(
    ("zone", "date"), [("Europe/Brussels", "9999-12-31 23:59:59+00"), ("America/New_York", "0001-01-01 00:00:00+00")]
)
def test_a_date_at_the_calendars_edge_is_read_whatever_the_ledgers_time_zone(
    pipeline: Pipeline, zone: str, date: str
) -> None:
    """HR's date for "never" would be in a year that Python does not have, were it told in local time."""
    with pipeline.ledger.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"alter database {pipeline.ledger.url.database} set timezone = '{zone}'"))
    pipeline.ledger.dispose()
    sql = pipeline.config.extract_sql.replace(
        "where (changed_at >= :since", "where changed_at is not null or (changed_at >= :since"
    )
    pipeline.config = type(pipeline.config)(pipeline.config.settings, pipeline.config.mapping, sql)
    in_utc = {"options": "-c timezone=UTC"}
    pipeline.warehouse = sa.create_engine(pipeline.warehouse.url, poolclass=sa.NullPool, connect_args=in_utc)
    pipeline.hire(person(1), person(2, changed_at=date))
    summary = pipeline.run()
    assert (summary.extracted, summary.registered + summary.quarantined) == (2, 2)
