"""Rows that were set aside come back when there is reason to, and a step that is repeated judges them anew."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from o2o_registration import actions, audit, building, checking, errors
from o2o_registration.actions import Action, Order

from tests.integration.conftest import Pipeline, person

LONG_AGO = datetime.now(UTC) - timedelta(days=40)


@pytest.mark.parametrize("changed_at", [LONG_AGO, LONG_AGO + timedelta(days=40, minutes=-5)])
def test_rows_set_aside_before_do_not_stop_the_run_that_looks_at_them_again(
    pipeline: Pipeline, changed_at: datetime
) -> None:
    """Each company's people are registered once the mapping knows it, whichever comes first, in a window or not."""
    pipeline.settings("quality", max_bad_share=1.0)
    people = (person(n, company_code="HOOLI" if n < 5 else "PIED", changed_at=changed_at) for n in range(30))
    pipeline.hire(*people)
    assert pipeline.run().quarantined == 30
    pipeline.settings("quality", max_bad_share=0.25)
    pipeline.hire(person(900))
    pipeline.plans(hooli="ACME-2026")
    summary = pipeline.run()
    assert (summary.created, summary.quarantined) == (6, 25)
    assert pipeline.run().calls == 0
    pipeline.plans(pied="ACME-2026")
    assert pipeline.run().created == 25


def test_a_batch_that_is_stopped_loses_none_of_the_rows_that_it_looked_at_again(pipeline: Pipeline) -> None:
    """They are older than any window: HR will not give them a second time."""
    pipeline.settings("quality", max_bad_share=1.0)
    pipeline.hire(*(person(n, company_code="HOOLI" if n < 5 else "PIED", changed_at=LONG_AGO) for n in range(30)))
    pipeline.run()
    pipeline.settings("quality", max_bad_share=0.25)
    pipeline.hire(*(person(100 + n, language_code="xx") for n in range(20)))
    pipeline.plans(hooli="ACME-2026")
    with pytest.raises(errors.TooManyBadRows, match="20 of 20 rows"):
        pipeline.run()
    for n in range(20):
        pipeline.mend(f"E{100 + n}", language_code="nl")
    pipeline.plans(pied="ACME-2026")
    assert pipeline.run().created == 50


def test_what_a_stopped_batch_said_of_somebody_is_forgotten_when_hr_takes_it_back(pipeline: Pipeline) -> None:
    """A broken export; after it the row is again the one that was set aside before, and no other."""
    pipeline.hire(person(1, work_email="nope"))
    pipeline.run()
    pipeline.hire(*(person(n) for n in range(2, 21)))
    with pipeline.warehouse.begin() as connection:
        connection.execute(sa.text("update hr.employee set last_name = ''"))
    with pytest.raises(errors.TooManyBadRows, match="20 of 20 rows"):
        pipeline.run()
    assert pipeline.query("select count(*) from o2o.quarantine where source_key = 'E1'") == [(2,)]
    with pipeline.warehouse.begin() as connection:
        connection.execute(sa.text("update hr.employee set last_name = 'Janssens'"))
    assert pipeline.run().created == 19
    ((reasons,),) = pipeline.query("select reasons from o2o.quarantine")
    assert [reason["code"] for reason in reasons] == ["email_invalid"]


@pytest.mark.parametrize("wrong", [None, datetime.now(UTC) + timedelta(days=9)])
def test_a_date_of_change_that_hr_fills_in_or_corrects_brings_its_row_back(
    pipeline: Pipeline, wrong: datetime | None
) -> None:
    """The date is no part of the fingerprint, which is therefore the same as that of the row that was set aside."""
    everything = "where changed_at is not null or (changed_at >= :since"
    sql = pipeline.config.extract_sql.replace("where (changed_at >= :since", everything)
    pipeline.config = replace(pipeline.config, extract_sql=sql)
    pipeline.hire(person(1, changed_at=wrong))
    assert pipeline.run().quarantined == 1
    assert pipeline.run().known == 1
    pipeline.mend("E1", bike_interest=True)
    assert pipeline.run().created == 1
    assert pipeline.query("select * from o2o.quarantine") == []


def test_a_check_that_is_repeated_after_the_build_counts_what_was_built(pipeline: Pipeline) -> None:
    """A later task failed, and the engineer clears from check_quality on: the bad rows alone are no batch."""
    pipeline.hire(*(person(n, work_email="nope" if n < 30 else f"e{n}@example.com") for n in range(200)))
    run = pipeline.read()
    checking.check(pipeline.ledger, pipeline.config, run.run_id)
    building.build(pipeline.ledger, pipeline.config, run.run_id)
    # another run has replaced what was set aside
    with pipeline.ledger.begin() as connection:
        connection.execute(sa.text("delete from o2o.quarantine"))
    assert checking.check(pipeline.ledger, pipeline.config, run.run_id).bad == 30
    assert building.build(pipeline.ledger, pipeline.config, run.run_id).registered == 0
    summary = audit.settle(pipeline.ledger, run.run_id)
    assert (summary.extracted, summary.quarantined, summary.registered) == (200, 30, 170)
    assert pipeline.run().created == 170


def test_a_check_that_is_repeated_with_a_mended_mapping_lets_the_rows_pass(pipeline: Pipeline) -> None:
    """What the first one said of them is no longer held against them."""
    pipeline.hire(*(person(n, company_code="HOOLI" if n < 15 else "PIED") for n in range(20)), person(20))
    run = pipeline.read()
    with pytest.raises(errors.TooManyBadRows, match="20 of 21 rows"):
        checking.check(pipeline.ledger, pipeline.config, run.run_id)
    pipeline.plans(hooli="ACME-2026")
    again = checking.check(pipeline.ledger, pipeline.config, run.run_id)
    assert (again.bad, again.reasons) == (5, {"company_unknown": 5})
    assert building.build(pipeline.ledger, pipeline.config, run.run_id).registered == 16
    audit.settle(pipeline.ledger, run.run_id)
    assert pipeline.query("select count(*) from o2o.quarantine") == [(5,)]


def test_somebody_whom_the_first_check_withdrew_is_registered_when_the_second_lets_the_row_pass(
    pipeline: Pipeline,
) -> None:
    """Nobody else has done anything to the person since, and no later run may read the row again."""
    pipeline.settings("fuse", max_people=0)
    pipeline.hire(person(0))
    assert pipeline.run().held == 1
    pipeline.mend("E0", company_code="HOOLI")
    pipeline.hire(*(person(n, company_code="HOOLI") for n in range(1, 20)))
    run = pipeline.read()
    with pytest.raises(errors.TooManyBadRows):
        checking.check(pipeline.ledger, pipeline.config, run.run_id)
    assert pipeline.statuses() == {"E0": "withdrawn"}
    pipeline.plans(hooli="ACME-2026")
    checking.check(pipeline.ledger, pipeline.config, run.run_id)
    assert building.build(pipeline.ledger, pipeline.config, run.run_id).registered == 20
    assert set(pipeline.statuses().values()) == {"pending"}


def test_a_row_mended_while_its_repeated_call_is_held_is_what_is_sent_after_a_refusal(pipeline: Pipeline) -> None:
    """The call may have been made: the new row waits for the answer, although by then it is older than any window."""
    pipeline.simulator.add_fault("hang", seconds=5, next=1)
    pipeline.hire(person(1, work_email="typo@example.com"))
    assert pipeline.run().in_doubt == 1
    actions.carry_out(pipeline.ledger, Order(Action.RELEASE, ("E1",), "anna", "not there"))
    actions.carry_out(pipeline.ledger, Order(Action.HOLD, (), "anna", "stop"))
    pipeline.mend("E1", work_email="right@example.com")
    assert pipeline.run().known == 1
    assert pipeline.run().known == 1
    actions.carry_out(pipeline.ledger, Order(Action.APPROVE, (), "anna", "go on"))
    with pipeline.warehouse.begin() as connection:
        connection.execute(sa.text("update hr.employee set changed_at = now() - interval '9 days'"))
    pipeline.simulator.add_fault("status", status=422, next=1)
    assert pipeline.run().rejected == 1
    assert pipeline.run().created == 1
    assert pipeline.query("select payload #>> '{user,Email}' from o2o.registration") == [("right@example.com",)]


def test_a_slow_build_leaves_alone_what_another_run_has_set_aside_since(pipeline: Pipeline) -> None:
    """Its own row is stale; the one that waits for the answer is HR's newest."""
    pipeline.hire(person(1))
    slow = pipeline.read()
    checking.check(pipeline.ledger, pipeline.config, slow.run_id)
    pipeline.simulator.add_fault("hang", seconds=5, next=1)
    pipeline.run()
    pipeline.mend("E1", last_name="Peeters")
    pipeline.run()
    assert pipeline.statuses() == {"E1": "in_doubt"}
    waiting = pipeline.query("select fingerprint, reasons -> 0 ->> 'code' from o2o.quarantine")
    assert [code for _, code in waiting] == ["answer_awaited"]
    assert building.build(pipeline.ledger, pipeline.config, slow.run_id).known == 1
    assert pipeline.query("select fingerprint, reasons -> 0 ->> 'code' from o2o.quarantine") == waiting


def test_a_row_that_passes_at_last_leaves_the_quarantine_although_another_run_was_first(pipeline: Pipeline) -> None:
    """Its worker had yesterday's mapping until the task was cleared."""
    pipeline.hire(*(person(n, company_code="HOOLI") for n in range(20)))
    slow, yesterdays = pipeline.read(), pipeline.config
    pipeline.plans(hooli="ACME-2026")
    assert pipeline.run().created == 20
    with pytest.raises(errors.TooManyBadRows):
        checking.check(pipeline.ledger, yesterdays, slow.run_id)
    assert checking.check(pipeline.ledger, pipeline.config, slow.run_id).bad == 0
    assert building.build(pipeline.ledger, pipeline.config, slow.run_id).known == 20
    assert pipeline.query("select * from o2o.quarantine") == []
