"""One rate limit for everybody who delivers from a ledger."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from o2o_registration import audit, building, checking, fuse

from tests.integration.conftest import Pipeline, person

pytestmark = pytest.mark.integration
RATE = 40


def ready(pipeline: Pipeline, people: int) -> Any:
    """So many people registered as pending, and the run that did it."""
    pipeline.hire(*(person(n) for n in range(people)))
    run = pipeline.read()
    checking.check(pipeline.ledger, pipeline.config, run.run_id)
    building.build(pipeline.ledger, pipeline.config, run.run_id, run.dry_run)
    fuse.weigh(pipeline.ledger, pipeline.config.settings.fuse, run.run_id, people)
    return run


def most_in_a_second(pipeline: Pipeline) -> int:
    """Calls that were announced within any one second, by the ledger's clock."""
    ((most,),) = pipeline.query("""
        select max(calls) from (
            select count(*) over (
                order by started_at range between current row and interval '0.999 s' following) as calls
            from o2o.attempt) as seconds
    """)
    return int(most)


@pytest.mark.parametrize("deliveries", [1, 3])
def test_all_deliveries_together_keep_to_the_rate_limit(pipeline: Pipeline, deliveries: int) -> None:
    """However many run at once; and each person is called once."""
    pipeline.settings("delivery", calls_per_second=float(RATE))
    run = ready(pipeline, 3 * RATE)
    with ThreadPoolExecutor(deliveries) as pool:
        delivered = list(pool.map(lambda _: pipeline.post(run), range(deliveries)))
    assert sum(one.calls for one in delivered) == len(set(pipeline.mails())) == 3 * RATE
    assert most_in_a_second(pipeline) <= RATE * 1.15
    audit.load(pipeline.ledger)
    assert audit.settle(pipeline.ledger, run.run_id).created == 3 * RATE


def test_several_deliveries_share_the_work(pipeline: Pipeline) -> None:
    """None of them waits for the others to end."""
    pipeline.settings("delivery", calls_per_second=float(RATE), concurrency=2)
    pipeline.simulator.add_fault("latency", share=1, seconds=0.1)
    run = ready(pipeline, 60)
    with ThreadPoolExecutor(3) as pool:
        delivered = list(pool.map(lambda _: pipeline.post(run), range(3)))
    assert all(one.calls > 0 for one in delivered)


def test_a_clock_that_was_put_back_does_not_stop_all_calls(pipeline: Pipeline) -> None:
    """The instant of the next call would then be hours away."""
    pipeline.hire(person(1))
    with pipeline.ledger.begin() as connection:
        connection.execute(sa.text("update o2o.delivery_state set next_call_at = now() + interval '3 hours'"))
    assert pipeline.run().created == 1
