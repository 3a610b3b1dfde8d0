"""The HR warehouse misbehaves: a clear error after which nothing is lost, or a correct result."""

from __future__ import annotations

import gc
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from o2o_registration.errors import WarehouseError

from tests.integration.conftest import Pipeline, person

BRUSSELS = ZoneInfo("Europe/Brussels")


def sql(pipeline: Pipeline, old: str, new: str) -> None:
    """What somebody made of the extract's SQL."""
    assert old in pipeline.config.extract_sql
    pipeline.config = replace(pipeline.config, extract_sql=pipeline.config.extract_sql.replace(old, new))


def alter(pipeline: Pipeline, change: str) -> None:
    with pipeline.warehouse.begin() as connection:
        connection.execute(sa.text(f"alter table hr.employee {change}"))


@contextmanager
def mended(pipeline: Pipeline, words: str) -> Iterator[None]:
    """The run fails with these words and no personal data; once the block has mended it, all are registered."""
    with pytest.raises(WarehouseError, match=words) as caught:
        pipeline.run()
    assert "Janssens" not in str(caught.value)
    assert "@" not in str(caught.value)
    assert pipeline.mails() == []
    yield
    pipeline.run()
    assert set(pipeline.statuses().values()) == {"created"}
    assert len(pipeline.mails()) == len(pipeline.query("select * from hr.employee"))


def test_a_missing_column_is_named_with_the_place_to_mend_it(pipeline: Pipeline) -> None:
    """The mapping says which column it is for."""
    pipeline.hire(person(1))
    good = pipeline.config
    sql(pipeline, "    work_email,\n", "")
    with mended(pipeline, r"no column 'work_email', which mapping.yaml \(columns.email\)"):
        pipeline.config = good


def test_a_column_that_the_warehouse_renamed_is_an_error_of_the_sql_file(pipeline: Pipeline) -> None:
    """With the database's own words."""
    pipeline.hire(person(1))
    alter(pipeline, "rename column work_email to email")
    with mended(pipeline, "interested_employees.sql.*work_email"):
        alter(pipeline, "rename column email to work_email")


@pytest.mark.parametrize(
    ("break_it", "mend_it", "words"),
    [
        ("alter table hr.employee rename to staff", "alter table hr.staff rename to employee", "hr.employee"),
        ("alter schema hr rename to gone", "alter schema gone rename to hr", "hr.employee"),
    ],
)
def test_a_table_that_is_gone_is_named(pipeline: Pipeline, break_it: str, mend_it: str, words: str) -> None:
    """Until it is back."""
    pipeline.hire(person(1))
    with pipeline.warehouse.begin() as connection:
        connection.execute(sa.text(break_it))
    with mended(pipeline, words), pipeline.warehouse.begin() as connection:
        connection.execute(sa.text(mend_it))


@pytest.mark.parametrize(
    "change",
    [
        "alter column employee_id type bigint using substr(employee_id, 2)::bigint",
        "alter column employee_id type numeric using substr(employee_id, 2)::numeric",
        "alter column employee_id type double precision using substr(employee_id, 2)::double precision",
        "alter column bike_interest type text using case when bike_interest then 'Yes' else 'no' end",
        "alter column bike_interest type integer using bike_interest::integer",
        "alter column work_email type character(80)",
        "alter column changed_at type timestamp using changed_at at time zone 'UTC'",
        "alter column first_name type bytea using convert_to(first_name, 'UTF8')",
    ],
)
def test_a_column_whose_type_changes_is_still_understood(pipeline: Pipeline, change: str) -> None:
    """Nobody who was registered before is a stranger afterwards, and who comes new is registered."""
    pipeline.hire(person(1), person(2))
    alter(pipeline, change)
    assert pipeline.run().created == 2
    assert pipeline.run().known == 2
    assert {row[0].removeprefix("E") for row in pipeline.mails()} == {"1", "2"}


def test_an_interest_that_is_not_understood_is_set_aside(pipeline: Pipeline) -> None:
    """HR's new word for yes must not be taken for a no: the row waits where somebody sees it."""
    pipeline.hire(person(1))
    alter(pipeline, "alter column bike_interest type text using 'graag'")
    assert pipeline.run().quarantined == 1
    ((reasons,),) = pipeline.query("select reasons from o2o.quarantine")
    assert [reason["code"] for reason in reasons] == ["interest_unclear"]
    pipeline.mend("E1", bike_interest="yes")
    assert pipeline.run().created == 1


def test_a_query_that_times_out_in_mid_stream_keeps_nothing_and_loses_nothing(pipeline: Pipeline) -> None:
    """Rows were read already; the next run reads them again."""
    pipeline.settings("window", chunk_rows=10)
    pipeline.hire(*(person(n) for n in range(40)))
    good = pipeline.config
    slow = "where pg_sleep(case when employee_id = 'E35' then 5 else 0 end) is not null and ((changed_at >= :since"
    sql(pipeline, "where (changed_at >= :since", slow)
    sql(pipeline, "   or changed_at is null", "   or changed_at is null)")
    with pipeline.warehouse.connect() as connection:
        connection.execute(sa.text("alter database " + str(pipeline.warehouse.url.database) + " set jit = off"))
        connection.rollback()
    real = pipeline.warehouse
    pipeline.warehouse = sa.create_engine(real.url, connect_args={"options": "-c statement_timeout=700"})
    with mended(pipeline, "QueryCanceled.*statement timeout"):
        assert pipeline.query("select count(*) from o2o.candidate") == [(0,)]
        pipeline.warehouse.dispose()
        pipeline.warehouse, pipeline.config = real, good


def test_a_connection_that_is_cut_in_mid_stream_keeps_nothing_and_loses_nothing(pipeline: Pipeline) -> None:
    """As by a firewall, while the cursor is open."""
    pipeline.settings("window", chunk_rows=5)
    pipeline.hire(*(person(n) for n in range(40)))
    good = pipeline.config
    sql(pipeline, "where (changed_at >= :since", "where pg_sleep(0.05) is not null and ((changed_at >= :since")
    sql(pipeline, "   or changed_at is null", "   or changed_at is null)")
    cutter = threading.Thread(target=_cut_when_streaming, args=(pipeline,))
    cutter.start()
    with mended(pipeline, "'hr_warehouse'"):
        cutter.join()
        pipeline.config = good
    with warnings.catch_warnings():
        # the driver cannot close a cursor whose connection is gone, and says so when it is collected
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def _cut_when_streaming(pipeline: Pipeline) -> None:
    deadline = time.monotonic() + 20
    with pipeline.ledger.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while time.monotonic() < deadline:
            cut = connection.scalar(
                sa.text("""
                    select count(pg_terminate_backend(pid)) from pg_stat_activity
                    where datname = current_database() and query like 'FETCH%' and pid <> pg_backend_pid()
                """)
            )
            if cut:
                return
            time.sleep(0.02)


def test_the_same_row_twice_is_one_person(pipeline: Pipeline) -> None:
    """In one batch, and with another date of change."""
    later = datetime.now(UTC) - timedelta(seconds=30)
    pipeline.hire(person(1), person(1), person(1, changed_at=later))
    summary = pipeline.run()
    assert (summary.extracted, summary.known, summary.created) == (3, 2, 1)
    assert len(pipeline.mails()) == 1


def test_a_row_of_megabytes_is_set_aside_and_the_others_are_sent(pipeline: Pipeline) -> None:
    """Somebody pasted a document into a name."""
    pipeline.hire(person(1, first_name="x" * 10_000_000), person(2), person(3, employee_id="y" * 100_000))
    summary = pipeline.run()
    assert (summary.quarantined, summary.created) == (2, 1)


@pytest.mark.parametrize("switch", [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)])
def test_local_times_over_a_daylight_saving_switch_lose_nobody(pipeline: Pipeline, switch: datetime) -> None:
    """A warehouse that keeps local times without a zone: an hour is missing, or there twice."""
    alter(pipeline, "alter column changed_at type timestamp using null")
    for number in range(16):
        until = switch + timedelta(minutes=30 * (number - 7))
        local = (until - timedelta(minutes=10)).astimezone(BRUSSELS).replace(tzinfo=None)
        pipeline.hire(person(number, changed_at=local))
        pipeline.run(kind="scheduled", interval=(until - timedelta(minutes=30), until))
    # a local time is two hours ahead of what the window takes it for
    end = switch + timedelta(hours=7)
    pipeline.run(kind="scheduled", interval=(end - timedelta(minutes=30), end))
    assert sorted(name for name, _ in pipeline.mails()) == sorted(f"E{number}" for number in range(16))


def test_a_row_that_hr_dates_in_the_future_is_registered_once_that_time_has_come(pipeline: Pipeline) -> None:
    """HR's clock, or an interest that begins next week."""
    soon = datetime.now(UTC) + timedelta(seconds=2)
    pipeline.hire(person(1, changed_at=soon))
    assert pipeline.run(run_after=datetime.now(UTC)).calls == 0
    time.sleep(2.5)
    assert pipeline.run().created == 1


def test_a_date_that_is_years_ahead_is_set_aside_until_hr_mends_it_or_the_day_has_come(pipeline: Pipeline) -> None:
    """2062 for 2026: it would be in no window for decades, and nobody would know. Read by a run of any window."""
    pipeline.hire(person(1, changed_at=datetime(2062, 11, 1, tzinfo=UTC)), person(2))
    summary = pipeline.run()
    assert (summary.extracted, summary.quarantined, summary.created) == (2, 1, 1)
    ((reasons,),) = pipeline.query("select reasons from o2o.quarantine")
    assert [reason["code"] for reason in reasons] == ["changed_at_in_future"]
    assert pipeline.run().known == 2
    pipeline.mend("E1", bike_interest=True)
    assert pipeline.run().created == 1


def test_a_window_of_the_past_reads_no_row_that_changed_after_it(pipeline: Pipeline) -> None:
    """A date counts as mistyped by the clock, not by the window."""
    now = datetime.now(UTC)
    pipeline.hire(person(1, changed_at=now - timedelta(days=20)), person(2))
    assert pipeline.run(since=now - timedelta(days=30), until=now - timedelta(days=15)).extracted == 1


def test_nothing_to_read_is_a_success(pipeline: Pipeline) -> None:
    """Most runs are like that."""
    summary: Any = pipeline.run()
    assert (summary.extracted, summary.calls) == (0, 0)
