"""What several deliveries at once leave in the ledger about o2o: none forgets what another was told."""

from __future__ import annotations

import threading
import time

import pytest
from o2o_registration import shards
from o2o_registration.breaker import Breaker, BreakerState
from o2o_registration.desk import overview
from o2o_registration.outbox import Outbox

from tests.integration.conftest import Pipeline, person
from tests.integration.test_rate_limit import ready

BUSY = BreakerState(failures=0, openings=1, wait=3600.0, detail="o2o is busy: HTTP 429")
FAILED = BreakerState(failures=5, openings=3, wait=240.0, detail="5 failures in a row, the last: HTTP 500")


@pytest.fixture
def outbox(pipeline: Pipeline) -> Outbox:
    return Outbox(pipeline.ledger, pipeline.config.settings, "run")


def kept(outbox: Outbox) -> tuple[int, int, int, str | None]:
    """Failures, openings, seconds to the nearest ten, and why."""
    state = outbox.load_breaker()
    return state.failures, state.openings, round(state.wait, -1), state.detail


@pytest.mark.parametrize("theirs", [BUSY, FAILED], ids=["busy", "failed"])
def test_a_delivery_that_called_nobody_leaves_what_another_saved_meanwhile(
    pipeline: Pipeline, outbox: Outbox, theirs: BreakerState
) -> None:
    """It knows nothing of o2o."""
    pipeline.on_start = lambda _: threading.Timer(0.5, outbox.save_breaker, (theirs,)).start()
    # nobody is due within the time that it waits
    run = ready(pipeline, 1)
    with pipeline.ledger.begin() as connection:
        connection.exec_driver_sql("update o2o.registration set not_before = now() + interval '2 seconds'")
    pipeline.settings("delivery", max_wait_seconds=3.0)
    threading.Timer(1.2, lambda: _postpone(pipeline)).start()
    pipeline.post(run)
    assert pipeline.mails() == []
    assert kept(outbox) == (theirs.failures, theirs.openings, theirs.wait, theirs.detail)


def _postpone(pipeline: Pipeline) -> None:
    with pipeline.ledger.begin() as connection:
        connection.exec_driver_sql("update o2o.registration set not_before = now() + interval '1 hour'")


@pytest.mark.parametrize("theirs", [BUSY, FAILED], ids=["busy", "failed"])
def test_a_good_answer_from_before_another_was_told_to_wait_says_nothing(outbox: Outbox, theirs: BreakerState) -> None:
    """Ours came 10 s ago."""
    outbox.save_breaker(theirs)
    outbox.save_breaker(BreakerState(good=10.0))
    assert kept(outbox) == (theirs.failures, theirs.openings, theirs.wait, theirs.detail)


def test_a_good_answer_closes_a_breaker_that_another_opened_before(outbox: Outbox) -> None:
    """o2o answers again, whatever the other's machine had met."""
    outbox.save_breaker(FAILED)
    time.sleep(0.2)
    outbox.save_breaker(BreakerState(good=0.05))
    assert kept(outbox) == (0, 0, 0, None)


def test_a_good_answer_does_not_shorten_what_o2o_asked_for(outbox: Outbox) -> None:
    """It may have been under way when another was told."""
    outbox.save_breaker(BUSY)
    time.sleep(0.2)
    outbox.save_breaker(BreakerState(good=0.05))
    assert kept(outbox) == (0, 0, 3600, BUSY.detail)


def test_the_longer_of_two_waits_counts(outbox: Outbox) -> None:
    outbox.save_breaker(FAILED)
    outbox.save_breaker(BUSY)
    assert kept(outbox) == (5, 3, 3600, BUSY.detail)
    outbox.save_breaker(FAILED)
    assert kept(outbox) == (5, 3, 3600, BUSY.detail)


def test_what_a_shard_opened_is_open_for_the_page_and_for_the_next_run(pipeline: Pipeline, outbox: Outbox) -> None:
    """One of four opens it after two failures, a run of one task after five."""
    whole = pipeline.config
    part = shards.share(whole.settings, 4).delivery
    assert part.breaker_failures == 2
    pipeline.settings("delivery", **part.model_dump())
    pipeline.simulator.add_fault("status", status=500, share=1)
    pipeline.hire(*(person(n) for n in range(20)))
    pipeline.run()
    pipeline.config = whole
    seen = overview.overview(pipeline.ledger, whole.settings)["breaker"]
    assert (seen["open"], seen["failures"]) == (True, 2)
    _wait_is_over(pipeline)
    assert Breaker(5, 60.0, 64, outbox.load_breaker()).allowance == 1
    pipeline.simulator.clear_faults()
    pipeline.run()
    assert not overview.overview(pipeline.ledger, whole.settings)["breaker"]["open"]


def _wait_is_over(pipeline: Pipeline) -> None:
    with pipeline.ledger.begin() as connection:
        connection.exec_driver_sql("update o2o.delivery_state set wait_until = now()")
