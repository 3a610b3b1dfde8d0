"""A delivery that Airflow ends for its execution_timeout: no answer is dropped, no attempt stays open."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from o2o_registration.delivery import STOP_SECONDS, Delivery

from tests.integration.conftest import Pipeline, person
from tests.integration.operators import Operators, deployed
from tests.integration.test_rate_limit import ready

pytestmark = pytest.mark.usefixtures("airflow_imported")

PEOPLE = 400


@pytest.fixture
def busy(pipeline: Pipeline) -> tuple[Pipeline, Any]:
    """More people than can be called before the time is up, and an o2o that takes its time."""
    pipeline.settings("delivery", calls_per_second=50.0, concurrency=64, read_seconds=5.0)
    pipeline.simulator.add_fault("latency", share=1, seconds=0.2)
    return pipeline, ready(pipeline, PEOPLE)


@pytest.fixture
def operators(pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Operators:
    return deployed(pipeline, tmp_path / "config", monkeypatch)


class TimeIsUp(BaseException):
    """As Airflow's own, it is no Exception."""


@contextmanager
def exception_after(seconds: float) -> Iterator[None]:
    def strike(*_: object) -> None:
        raise TimeIsUp

    before = signal.signal(signal.SIGALRM, strike)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def assert_everybody_is_accounted_for(pipeline: Pipeline) -> None:
    """Who was called has an answer in the ledger, the others are pending."""
    assert pipeline.query("select count(*) from o2o.attempt where closed_at is null") == [(0,)]
    created = [who for who, status in pipeline.statuses().items() if status == "created"]
    assert sorted(created) == sorted(who for who, _ in pipeline.mails())
    assert 0 < len(created) < PEOPLE
    assert set(pipeline.statuses().values()) == {"created", "pending"}


def test_an_exception_that_a_signal_raises_ends_the_delivery_as_a_request_to_stop_does(
    busy: tuple[Pipeline, Any],
) -> None:
    """It must not strike the event loop, which would cancel the calls under way and whoever records them."""
    pipeline, run = busy
    with pytest.raises(TimeIsUp), exception_after(3):
        pipeline.post(run)
    assert_everybody_is_accounted_for(pipeline)


def test_post_users_ends_by_itself_before_its_execution_timeout(
    busy: tuple[Pipeline, Any],
    operators: Operators,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Calls under way are answered, the rest stays pending, and the next run sends it."""
    pipeline, run = busy
    delivered = operators.post(run.run_id, seconds=8)
    assert_everybody_is_accounted_for(pipeline)
    assert delivered == {"created": len(pipeline.mails())}
    assert f"{PEOPLE - len(pipeline.mails())} people stay pending" in capsys.readouterr().out + caplog.text
    pipeline.simulator.clear_faults()
    pipeline.settings("delivery", calls_per_second=2000.0)
    operators.post(run.run_id, seconds=60)
    assert len(pipeline.mails()) == len(set(pipeline.mails())) == PEOPLE


@pytest.mark.parametrize(("within", "status"), [(8.0, "created"), (STOP_SECONDS, "in_doubt")])
def test_calls_under_way_have_as_long_as_whoever_stops_the_delivery_can_wait(
    pipeline: Pipeline, within: float, status: str
) -> None:
    """Before the timeout there is more time than before a kill; the shorter of two demands counts."""
    pipeline.settings("delivery", read_seconds=8.0)
    pipeline.simulator.add_fault("latency", share=1, seconds=5.0)
    pipeline.hire(person(1))

    def stop_soon(delivery: Delivery) -> None:
        for asked in (8.0, within):
            threading.Timer(1, delivery.stop, (asked,)).start()

    pipeline.on_start = stop_soon
    pipeline.run()
    assert pipeline.statuses() == {"E1": status}


def test_calls_that_we_gave_up_ourselves_do_not_open_the_breaker(pipeline: Pipeline) -> None:
    """They say nothing about o2o, and the next run need not wait."""
    pipeline.settings("delivery", breaker_failures=2, read_seconds=8.0)
    pipeline.simulator.add_fault("latency", share=1, seconds=5.0)
    pipeline.hire(person(1), person(2))
    pipeline.on_start = lambda delivery: threading.Timer(1, delivery.stop, (0.5,)).start()
    pipeline.run()
    assert set(pipeline.statuses().values()) == {"in_doubt"}
    assert pipeline.query("select failures, openings from o2o.delivery_state") == [(0, 0)]
