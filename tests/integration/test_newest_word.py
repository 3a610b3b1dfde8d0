"""What HR said last about a person counts, in warehouses that keep each change as a row of its own, too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from o2o_registration import checking

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


def test_a_contradiction_that_hr_settles_by_deleting_a_row_leaves_the_other(busy: Pipeline) -> None:
    """Which is the same as when both were set aside."""
    then = ago(1)
    busy.hire(person(1, changed_at=then), person(1, last_name="Peeters", changed_at=then))
    assert busy.run().quarantined == 2
    assert busy.run().known == 2
    with busy.warehouse.begin() as connection:
        connection.execute(sa.text("delete from hr.employee where last_name = 'Peeters'"))
    busy.run()
    assert busy.query("select payload #>> '{user,LastName}' from o2o.registration") == [("Janssens",)]
    assert busy.query("select * from o2o.quarantine") == []


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


def test_somebody_whose_newer_row_is_bad_is_not_sent_with_the_older_one_and_the_audit_says_so(busy: Pipeline) -> None:
    """As for an interest that is taken back."""
    busy.hire(person(1))
    busy.run()
    busy.mend("E1", work_email="nope")
    busy.run()
    assert busy.statuses() == {"E1": "withdrawn"}
    told = "HR changed the row, and the new one failed the checks"
    assert busy.query("select run_id, employee_id, event, detail from o2o.audit") == [
        ("run-2", "E1", "withdrawn", told)
    ]


def test_a_dry_run_leaves_registrations_alone_and_the_next_run_finds_all_as_it_was(busy: Pipeline) -> None:
    """It sets rows aside for somebody to look at, and the next run judges them itself."""
    busy.hire(person(1), person(2, company_code="HOOLI", changed_at=ago(500)))
    busy.run()
    busy.mend("E1", work_email="nope")
    seen = "select fingerprint, reasons, rules, quarantined_at from o2o.quarantine where source_key = 'E2'"
    before = busy.query(seen)
    busy.plans(pied="ACME-2026")
    dry = busy.run(dry_run=True)
    assert (dry.extracted, dry.quarantined) == (2, 2)
    assert busy.statuses() == {"E1": "pending"}
    assert busy.query("select * from o2o.audit") == []
    assert busy.query(seen) == before
    ((reasons, rules),) = busy.query("select reasons, rules from o2o.quarantine where source_key = 'E1'")
    assert ([reason["code"] for reason in reasons], rules) == (["email_invalid"], None)
    real = busy.run()
    assert (real.extracted, real.quarantined) == (2, 2)
    assert busy.statuses() == {"E1": "withdrawn"}


def test_a_slow_runs_bad_row_withdraws_nobody_whom_a_later_run_has_registered(busy: Pipeline) -> None:
    """HR mended the row in between."""
    busy.hire(person(1, work_email="nope"))
    slow = busy.read()
    busy.mend("E1", work_email="right@example.com")
    busy.run()
    checking.check(busy.ledger, busy.config, slow.run_id)
    assert addresses(busy) == [("pending", "right@example.com")]
