"""HR takes an interest back while another run is on its way with it: nobody is called whose no was read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa
from o2o_registration import audit, building, candidates, checking, fuse, recheck, window

from tests.integration.conftest import Pipeline, person

Step = Callable[[Pipeline, window.Run], Any]
Work = Callable[[], Any]
Meanwhile = Callable[[Work, ModuleType, str, Work], None]


def check(pipeline: Pipeline, run: window.Run) -> Any:
    return checking.check(pipeline.ledger, pipeline.config, run.run_id)


def build(pipeline: Pipeline, run: window.Run) -> Any:
    return building.build(pipeline.ledger, pipeline.config, run.run_id)


def finish(pipeline: Pipeline, run: window.Run, *steps: Step) -> audit.Summary:
    """What is left of a run; the last step proves its arithmetic."""
    for step in steps:
        step(pipeline, run)
    assert not fuse.weigh(pipeline.ledger, pipeline.config.settings.fuse, run.run_id).asks
    pipeline.post(run)
    audit.load(pipeline.ledger)
    return audit.settle(pipeline.ledger, run.run_id)


@pytest.fixture
def meanwhile(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Runs the second once the first has come to the function; it must have to wait for the first's transaction."""

    def run(first: Work, module: ModuleType, function: str, second: Work) -> None:
        real, there, go = getattr(module, function), threading.Event(), threading.Event()

        def paused(*arguments: Any, **named: Any) -> Any:
            monkeypatch.setattr(module, function, real)
            there.set()
            assert go.wait(30)
            return real(*arguments, **named)

        monkeypatch.setattr(module, function, paused)
        with ThreadPoolExecutor() as threads:
            works = [threads.submit(first)]
            assert there.wait(30)
            works.append(threads.submit(second))
            try:
                until_somebody_waits(pipeline)
            finally:
                go.set()
            for work in works:
                work.result(60)

    return run


def until_somebody_waits(pipeline: Pipeline) -> None:
    """For a lock of the ledger."""
    deadline = time.monotonic() + 20
    waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    while pipeline.query(waiting) == [(0,)]:
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.02)


@pytest.fixture
def under_way(pipeline: Pipeline) -> window.Run:
    """A run that has read three people, one of them with a bad row."""
    pipeline.hire(person(1), person(2), person(3, work_email="nope"))
    return pipeline.read(run_id="slow")


def take_back(pipeline: Pipeline) -> None:
    pipeline.mend("E1", bike_interest=False)
    pipeline.mend("E3", bike_interest=False)


def assert_only_the_other_was_called(pipeline: Pipeline, summary: audit.Summary) -> None:
    assert [employee for employee, _ in pipeline.mails()] == ["E2"]
    assert (summary.extracted, summary.known, summary.quarantined, summary.registered) == (3, 2, 0, 1)
    assert pipeline.query("select * from o2o.quarantine") == []


@pytest.mark.parametrize("done", [(), (check,)])
def test_a_run_that_waits_calls_nobody_whose_no_another_run_has_read(
    pipeline: Pipeline, under_way: window.Run, done: tuple[Step, ...]
) -> None:
    """Whether its rows were checked or not, it goes on as if it had known them."""
    for step in done:
        step(pipeline, under_way)
    take_back(pipeline)
    pipeline.read()
    summary = finish(pipeline, under_way, *(step for step in (check, build) if step not in done))
    assert_only_the_other_was_called(pipeline, summary)


def test_a_no_that_a_dry_run_reads_changes_no_other_run(pipeline: Pipeline, under_way: window.Run) -> None:
    """The next real run takes it back."""
    take_back(pipeline)
    pipeline.read(dry_run=True)
    assert pipeline.query("select count(*) from o2o.candidate where run_id = 'slow'") == [(3,)]


def test_a_no_that_is_read_while_the_row_is_being_checked(
    pipeline: Pipeline, under_way: window.Run, meanwhile: Meanwhile
) -> None:
    """Its reader waits for the check, and takes the rows from the build."""
    take_back(pipeline)
    meanwhile(lambda: check(pipeline, under_way), checking, "_write", pipeline.read)
    assert_only_the_other_was_called(pipeline, finish(pipeline, under_way, build))


def test_a_no_that_is_read_while_the_row_is_being_built(
    pipeline: Pipeline, under_way: window.Run, meanwhile: Meanwhile
) -> None:
    """Its reader waits for the build, and withdraws the person; the run has registered them nevertheless."""
    check(pipeline, under_way)
    take_back(pipeline)
    meanwhile(lambda: build(pipeline, under_way), building, "_shown", pipeline.read)
    assert pipeline.statuses() == {"E1": "withdrawn", "E2": "pending"}
    summary = finish(pipeline, under_way)
    assert [employee for employee, _ in pipeline.mails()] == ["E2"]
    assert (summary.extracted, summary.known, summary.quarantined, summary.registered) == (3, 1, 0, 2)


@pytest.mark.parametrize(("done", "step"), [((), check), ((check,), build)])
def test_a_row_that_is_checked_or_built_while_a_no_is_being_read(
    pipeline: Pipeline, under_way: window.Run, meanwhile: Meanwhile, done: tuple[Step, ...], step: Step
) -> None:
    """The step waits for the reader, and does not meet the row any more."""
    for one in done:
        one(pipeline, under_way)
    take_back(pipeline)
    meanwhile(pipeline.read, recheck, "park", lambda: step(pipeline, under_way))
    steps = [one for one in (check, build) if one not in (*done, step)]
    assert_only_the_other_was_called(pipeline, finish(pipeline, under_way, *steps))


def test_a_no_that_is_read_while_another_run_is_still_reading_the_yes(pipeline: Pipeline, meanwhile: Meanwhile) -> None:
    """Runs read one after the other: who reads later sees what the earlier one has read, and takes it back."""
    pipeline.hire(person(1), person(2), person(3, work_email="nope"))
    slow: list[window.Run] = []

    def take_back_and_read() -> None:
        take_back(pipeline)
        pipeline.read(run_id="quick")

    meanwhile(lambda: slow.append(pipeline.read(run_id="slow")), recheck, "park", take_back_and_read)
    assert_only_the_other_was_called(pipeline, finish(pipeline, slow[0], check, build))


def test_a_run_that_waited_for_its_turn_to_read_knows_that_it_has_read_later(pipeline: Pipeline) -> None:
    """Which of two runs has HR's newer word is told by when they began to read, not by when they queued."""
    with ThreadPoolExecutor() as threads, pipeline.ledger.begin() as other:
        candidates.read_alone(other)
        work = threads.submit(pipeline.read)
        until_somebody_waits(pipeline)
        waited = other.scalar(sa.text("select clock_timestamp()"))
        other.rollback()
        work.result(60)
    ((started,),) = pipeline.query("select started_at from o2o.run_summary")
    assert started > waited


def test_a_run_that_is_read_anew_waits_for_its_own_check_that_is_still_being_killed(
    pipeline: Pipeline, under_way: window.Run, meanwhile: Meanwhile
) -> None:
    """Or the verdicts on the rows of before would be said of those that have their numbers now."""
    pipeline.mend("E3", work_email="three@example.com")
    again = lambda: pipeline.read(run_id="slow")  # noqa: E731
    meanwhile(lambda: check(pipeline, under_way), checking, "_write", again)
    assert pipeline.query("select count(*), count(reasons) from o2o.candidate") == [(3, 0)]
    assert finish(pipeline, under_way, check, build).created == 3


@pytest.mark.parametrize(
    ("done", "module", "function", "step"), [((), checking, "_write", check), ((check,), building, "_shown", build)]
)
def test_a_step_that_is_started_twice_is_done_once(
    pipeline: Pipeline,
    under_way: window.Run,
    meanwhile: Meanwhile,
    done: tuple[Step, ...],
    module: ModuleType,
    function: str,
    step: Step,
) -> None:
    """The second waits for the first, whose process was thought dead."""
    for one in done:
        one(pipeline, under_way)
    meanwhile(lambda: step(pipeline, under_way), module, function, lambda: step(pipeline, under_way))
    steps = [one for one in (check, build) if one not in (*done, step)]
    summary = finish(pipeline, under_way, *steps)
    assert (summary.extracted, summary.known, summary.quarantined, summary.created) == (3, 0, 1, 2)
