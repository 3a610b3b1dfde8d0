"""What HR said last about a person counts, in warehouses that keep each change as a row of its own, too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from tests.integration.conftest import Pipeline, person


def ago(hours: float) -> datetime:
    return datetime.now(UTC) - timedelta(hours=hours)


@pytest.fixture
def busy(pipeline: Pipeline) -> Pipeline:
    """o2o has asked for a pause: who is registered stays pending."""
    with pipeline.ledger.begin() as connection:
        connection.execute(sa.text("update o2o.delivery_state set wait_until = now() + interval '1 hour'"))
    return pipeline


def addresses(pipeline: Pipeline) -> list[Any]:
    return pipeline.query("select status, payload #>> '{user,Email}' from o2o.registration order by employee_id")


def test_somebody_pending_is_sent_with_the_newest_row_whatever_order_they_come_in(busy: Pipeline) -> None:
    """The older row is in each run's lookback, and known."""
    busy.hire(person(1, work_email="old@example.com", changed_at=ago(3)))
    busy.run()
    assert addresses(busy) == [("pending", "old@example.com")]
    busy.hire(person(1, work_email="new@example.com", changed_at=ago(1)))
    for _ in range(3):
        summary = busy.run()
        assert addresses(busy) == [("pending", "new@example.com")]
    assert (summary.extracted, summary.known) == (2, 2)
    assert busy.query("select count(*) from o2o.audit") == [(0,)]


@pytest.mark.parametrize("first", [{"work_email": "nope"}, {"bike_interest": "maybe"}])
def test_an_older_row_that_is_bad_takes_nobody_back(busy: Pipeline, first: dict[str, Any]) -> None:
    """In one window, and in one run after the other."""
    with busy.warehouse.begin() as connection:
        connection.execute(sa.text("alter table hr.employee alter column bike_interest type text"))
    busy.hire(person(1, **{"bike_interest": "yes", **first}, changed_at=ago(3)))
    assert busy.run().quarantined == 1
    busy.hire(person(1, bike_interest="yes", work_email="new@example.com", changed_at=ago(1)))
    busy.hire(person(2, **{"bike_interest": "yes", **first}, changed_at=ago(3)))
    busy.hire(person(2, bike_interest="yes", changed_at=ago(1)))
    for _ in range(3):
        summary = busy.run()
        assert [status for status, _ in addresses(busy)] == ["pending", "pending"]
        assert summary.quarantined == 0
    assert busy.query("select * from o2o.quarantine") == []


def test_a_row_that_returns_to_what_it_was_is_the_newest(busy: Pipeline) -> None:
    """The same content as the oldest, of which it is no mere repetition."""
    busy.hire(person(1, changed_at=ago(3)), person(1, last_name="Peeters", changed_at=ago(2)))
    busy.hire(person(1, changed_at=ago(1)))
    summary = busy.run()
    assert (summary.extracted, summary.known, summary.registered) == (3, 2, 1)
    assert busy.query("select payload #>> '{user,LastName}' from o2o.registration") == [("Janssens",)]


def test_rows_of_one_moment_contradict_each_other_and_rows_without_employee_id_do_not(busy: Pipeline) -> None:
    """Which of them HR means cannot be known; of people without an id, none is another's newer row."""
    then = ago(1)
    busy.hire(person(1, changed_at=then), person(1, last_name="Peeters", changed_at=then))
    busy.hire(*(person(n, employee_id=None, changed_at=ago(n)) for n in (2, 3)))
    summary = busy.run()
    assert (summary.extracted, summary.quarantined) == (4, 4)
    codes = busy.query("select reasons -> 0 ->> 'code' from o2o.quarantine order by 1")
    assert codes == [("employee_id_conflict",)] * 2 + [("employee_id_missing",)] * 2


@pytest.mark.parametrize("odd", [None, datetime.now(UTC) + timedelta(days=30)])
def test_a_row_whose_date_says_nothing_is_neither_newer_nor_older(busy: Pipeline, odd: datetime | None) -> None:
    """With other content it contradicts the others; with the same, it is a repetition of the one with a date."""
    everything = "where changed_at is not null or (changed_at >= :since"
    sql = busy.config.extract_sql.replace("where (changed_at >= :since", everything)
    busy.config = type(busy.config)(busy.config.settings, busy.config.mapping, sql)
    busy.hire(person(1, changed_at=odd), person(1, changed_at=ago(1)))
    busy.hire(person(2, changed_at=odd), person(2, last_name="Peeters", changed_at=ago(1)))
    summary = busy.run()
    assert (summary.extracted, summary.known, summary.quarantined, summary.registered) == (4, 1, 2, 1)
    assert [status for status, _ in addresses(busy)] == ["pending"]


def test_a_no_goes_before_a_yes_that_is_dated_in_the_future(busy: Pipeline) -> None:
    """A typing error keeps nobody on the list who wants to leave it."""
    everything = "where changed_at is not null or (changed_at >= :since"
    sql = busy.config.extract_sql.replace("where (changed_at >= :since", everything)
    busy.config = type(busy.config)(busy.config.settings, busy.config.mapping, sql)
    busy.hire(person(1, changed_at=ago(2)))
    busy.run()
    busy.hire(person(1, changed_at=ago(-9000)), person(1, changed_at=ago(1), bike_interest=False))
    busy.run()
    assert [status for status, _ in addresses(busy)] == ["withdrawn"]


def test_of_several_rows_that_were_set_aside_the_newest_is_looked_at_again(busy: Pipeline) -> None:
    """They left the window long ago, and the mapping is mended only now."""
    busy.hire(person(1, company_code="HOOLI", work_email="old@example.com", changed_at=ago(3)))
    busy.run()
    busy.hire(person(1, company_code="HOOLI", work_email="new@example.com", changed_at=ago(2)))
    busy.run()
    assert busy.query("select count(*) from o2o.quarantine") == [(2,)]
    with busy.warehouse.begin() as connection:
        connection.execute(sa.text("update hr.employee set changed_at = changed_at - interval '9 days'"))
    busy.plans(hooli="ACME-2026")
    busy.run()
    assert addresses(busy) == [("pending", "new@example.com")]
    assert busy.query("select * from o2o.quarantine") == []


def test_a_row_that_hr_has_replaced_is_not_looked_at_again_although_its_fault_is_mended(busy: Pipeline) -> None:
    """The one that replaced it has a fault of its own."""
    busy.hire(person(1, company_code="HOOLI", changed_at=ago(3)))
    busy.run()
    busy.hire(person(1, work_email="nope", changed_at=ago(2)))
    busy.run()
    busy.plans(hooli="ACME-2026")
    busy.run()
    with busy.warehouse.begin() as connection:
        connection.execute(sa.text("update hr.employee set changed_at = changed_at - interval '9 days'"))
    for _ in range(2):
        busy.run()
    assert addresses(busy) == []
