"""What changes while a run is under way: other runs' batches, the ledger, its owner, the mapping, the server."""

from __future__ import annotations

import logging
import time
import traceback
from collections import Counter
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa
from o2o_registration import audit, building, checking, extract, fuse
from o2o_registration.errors import ConfigurationError

from tests.integration.conftest import Pipeline, person

pytestmark = pytest.mark.usefixtures("airflow_imported")


def test_a_run_that_is_posting_sends_nobody_whom_another_run_has_not_weighed_yet(pipeline: Pipeline) -> None:
    """Or an older run's calls, or its cleared task, would carry a large batch past the fuse."""
    pipeline.settings("fuse", max_people=2)
    posting = pipeline.read()
    large = pipeline.read()
    pipeline.hire(*(person(number) for number in range(5)))
    large = pipeline.read(run_id=large.run_id)
    checking.check(pipeline.ledger, pipeline.config, large.run_id)
    building.build(pipeline.ledger, pipeline.config, large.run_id)
    assert pipeline.post(posting).calls == 0
    assert fuse.weigh(pipeline.ledger, pipeline.config.settings.fuse, large.run_id).asks
    assert pipeline.post(posting).calls == 0
    fuse.approve(pipeline.ledger, large.run_id, "somebody")
    assert pipeline.post(large).calls == 5


def test_an_address_that_another_run_registers_between_check_and_build_is_set_aside(pipeline: Pipeline) -> None:
    """Both found it free; the second to build has the reason in the quarantine, and its numbers add up."""
    runs = []
    for number in (1, 2):
        pipeline.hire(person(number, work_email="same@example.com"))
        runs.append(pipeline.read(employee_ids=(f"E{number}",)))
    for run in runs:
        assert checking.check(pipeline.ledger, pipeline.config, run.run_id).bad == 0
    first, second = (building.build(pipeline.ledger, pipeline.config, run.run_id) for run in runs)
    assert (first.registered, second.registered, second.quarantined) == (1, 0, 1)
    assert audit.settle(pipeline.ledger, runs[1].run_id).quarantined == 1
    found = pipeline.query("select source_key, reasons -> 0 ->> 'code' from o2o.quarantine")
    assert found == [("E2", "email_taken")]


@pytest.mark.parametrize(("step", "function"), [(extract, "_staged"), (building, "build_payload")])
def test_a_copy_that_the_ledger_breaks_off_quotes_nobody(
    pipeline: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    step: ModuleType,
    function: str,
) -> None:
    """By a statement's time limit or a full disk, say: PostgreSQL adds the row that it was about to write."""
    from airflow.sdk.exceptions import AirflowException
    from o2o_context import explained

    pipeline.hire(*(person(number) for number in range(3000)))
    real, calls = getattr(step, function), []

    def last_moment(*arguments: Any) -> Any:
        calls.append(None)
        if len(calls) == 2500:
            with pipeline.warehouse.begin() as connection:
                connection.execute(sa.text(_CANCEL))
            time.sleep(0.3)
        return real(*arguments)

    if step is building:
        run = pipeline.read()
        checking.check(pipeline.ledger, pipeline.config, run.run_id)
    monkeypatch.setattr(step, function, last_moment)
    with caplog.at_level(logging.INFO), pytest.raises(AirflowException) as caught, explained(logging.getLogger("t")):
        pipeline.read() if step is extract else building.build(pipeline.ledger, pipeline.config, run.run_id)
    said = caplog.text + "".join(traceback.format_exception(caught.value))
    assert "The ledger failed (QueryCanceled: canceling statement due to user request)" in said
    assert not [word for word in ("janssens", "zo\u00eb", "example.com") if word in said.lower()]


_CANCEL = """
    select pg_cancel_backend(pid) from pg_stat_activity
    where application_name = 'o2o_registration' and state = 'active' and datname = current_database()
"""


def test_a_mapping_that_loses_a_word_after_the_check_is_named_and_the_next_run_checks_again(pipeline: Pipeline) -> None:
    """The word is a value of the row, and stays out of the log."""
    pipeline.hire(person(1, language_code="Neerlandais"), person(2))
    shorter = pipeline.config
    longer = shorter.mapping.model_copy(update={"languages": {**shorter.mapping.languages, "neerlandais": "NL"}})
    pipeline.config = replace(shorter, mapping=longer)
    run = pipeline.read()
    checking.check(pipeline.ledger, pipeline.config, run.run_id)
    pipeline.config = shorter
    with pytest.raises(ConfigurationError, match=r"mapping\.yaml changed between") as caught:
        building.build(pipeline.ledger, pipeline.config, run.run_id)
    assert "neerlandais" not in "".join(traceback.format_exception(caught.value)).lower()
    summary = pipeline.run()
    assert (summary.created, summary.quarantined) == (1, 1)


def test_people_whom_another_run_builds_while_the_fuse_weighs_are_not_weighed_by_it(pipeline: Pipeline) -> None:
    """Or a batch that nobody counted would leave unasked."""
    pipeline.settings("fuse", max_people=2)
    pipeline.hire(person(1))
    small = pipeline.read()
    checking.check(pipeline.ledger, pipeline.config, small.run_id)
    building.build(pipeline.ledger, pipeline.config, small.run_id)
    pipeline.hire(*(person(n) for n in range(10, 20)))
    large = pipeline.read()
    checking.check(pipeline.ledger, pipeline.config, large.run_id)

    to_come = [large.run_id]

    def build_the_other(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "not passed_fuse" in statement and to_come:
            building.build(pipeline.ledger, pipeline.config, to_come.pop())

    sa.event.listen(pipeline.ledger, "after_cursor_execute", build_the_other)
    assert not fuse.weigh(pipeline.ledger, pipeline.config.settings.fuse, small.run_id).asks
    assert fuse.weigh(pipeline.ledger, pipeline.config.settings.fuse, large.run_id).people == 10
    assert Counter(pipeline.statuses().values()) == {"pending": 1, "held": 10}
