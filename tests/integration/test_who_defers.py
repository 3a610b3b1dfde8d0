"""A deferred run holds one of the few that may be active: who defers, and who leaves the rest to others."""

from __future__ import annotations

from pathlib import Path

import pytest
from o2o_registration import audit, building, checking, fuse

from tests.integration.conftest import Pipeline, person
from tests.integration.operators import Operators, deployed

pytestmark = pytest.mark.usefixtures("airflow_imported")


@pytest.fixture
def operators(pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Operators:
    """o2o asks everybody for an hour."""
    pipeline.simulator.add_fault("status", status=429, share=1, headers={"Retry-After": "3600"})
    pipeline.settings("delivery", concurrency=1)
    return deployed(pipeline, tmp_path / "config", monkeypatch)


def ready(pipeline: Pipeline, *numbers: int) -> str:
    """The id of a run that may send these people."""
    pipeline.hire(*(person(number) for number in numbers))
    run = pipeline.read()
    checking.check(pipeline.ledger, pipeline.config, run.run_id)
    building.build(pipeline.ledger, pipeline.config, run.run_id)
    fuse.weigh(pipeline.ledger, pipeline.config.settings.fuse, run.run_id)
    return run.run_id


def defers(operators: Operators, run_id: str, resume: bool = False) -> bool:
    """Or ends well."""
    from airflow.sdk.exceptions import TaskDeferred

    try:
        operators.post(run_id, resume=resume)
    except TaskDeferred:
        return True
    return False


def an_hour_passes(pipeline: Pipeline) -> None:
    with pipeline.ledger.begin() as connection:
        connection.exec_driver_sql("update o2o.delivery_state set wait_until = now()")
        connection.exec_driver_sql("update o2o.registration set not_before = now()")


def test_a_run_that_found_o2o_closed_and_called_nobody_ends(operators: Operators, pipeline: Pipeline) -> None:
    assert defers(operators, ready(pipeline, 1))
    calls = pipeline.simulator.summary().calls
    assert not defers(operators, ready(pipeline, 2))
    assert pipeline.simulator.summary().calls == calls
    assert set(pipeline.statuses().values()) == {"pending"}


def test_the_one_that_waits_goes_on_waiting_where_others_found_out_that_it_must(
    operators: Operators, pipeline: Pipeline
) -> None:
    """Or nobody would come back by itself."""
    first = ready(pipeline, 1)
    assert defers(operators, first)
    assert defers(operators, first, resume=True)


def test_two_that_were_put_off_at_the_same_time_do_not_both_wait(operators: Operators, pipeline: Pipeline) -> None:
    """Or an outage of a day would fill all places, one by one. The older waits."""
    first = ready(pipeline, 1)
    assert defers(operators, first)
    second = ready(pipeline, 2)
    an_hour_passes(pipeline)
    assert not defers(operators, second)
    assert defers(operators, first, resume=True)


def test_a_run_that_is_over_or_failed_otherwise_keeps_nobody_from_waiting(
    operators: Operators, pipeline: Pipeline
) -> None:
    """It will not come back."""
    from airflow.sdk.exceptions import AirflowFailException

    first = ready(pipeline, 1)
    assert defers(operators, first)
    audit.load(pipeline.ledger)
    audit.settle(pipeline.ledger, first)
    an_hour_passes(pipeline)
    pipeline.simulator.clear_faults()
    pipeline.simulator.add_fault("status", status=401, next=1)
    with pytest.raises(AirflowFailException):
        operators.post(ready(pipeline, 2))
    pipeline.simulator.add_fault("status", status=429, share=1, headers={"Retry-After": "3600"})
    assert defers(operators, ready(pipeline, 3))
