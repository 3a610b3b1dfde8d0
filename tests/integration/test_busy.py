"""An o2o that is busy and says "come back at once": neither a flood of calls nor a ledger that overflows."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import sqlalchemy as sa
from o2o_registration.answers import Answer, Outcome
from o2o_registration.outbox import Outbox, Result

from tests.integration.conftest import Pipeline, person

AT_ONCE = [{"Retry-After": "0"}, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}]


@pytest.mark.parametrize("headers", AT_ONCE, ids=["0 seconds", "a date of the past"])
@pytest.mark.parametrize(("people", "most"), [(1, 3), (200, 12)])
def test_at_once_means_in_a_moment_and_then_later(
    pipeline: Pipeline, headers: dict[str, str], people: int, most: int
) -> None:
    """Each call leaves an attempt and an audit row, and helps nobody."""
    pipeline.simulator.add_fault("status", status=503, share=1, headers=headers)
    pipeline.hire(*(person(n) for n in range(people)))
    pipeline.settings("delivery", max_wait_seconds=60.0)
    pipeline.on_start = lambda delivery: threading.Timer(5, delivery.stop).start()
    assert 1 < pipeline.run().calls <= most


def test_an_o2o_that_stays_busy_is_not_waited_for_in_the_end(pipeline: Pipeline) -> None:
    """1 and 2 seconds are sat out, 4 are more than max_wait_seconds allows."""
    pipeline.simulator.add_fault("status", status=429, share=1, headers={"Retry-After": "0"})
    pipeline.hire(person(1))
    pipeline.on_start = lambda delivery: threading.Timer(20, delivery.stop).start()
    pipeline.run()
    assert pipeline.last is not None
    assert pipeline.last.waiting == pytest.approx(4, abs=1)
    assert pipeline.last.calls == 3
    pipeline.simulator.clear_faults()
    _later(pipeline)
    assert pipeline.run().created == 1


def test_a_person_who_alone_is_put_off_waits_longer_each_time(pipeline: Pipeline) -> None:
    """While everybody else gets through, which makes the breaker think that all is well."""
    outbox = Outbox(pipeline.ledger, pipeline.config.settings, "run")
    pipeline.hire(person(1))
    pipeline.token = "wrong"
    with pytest.raises(Exception, match="token"):
        pipeline.run()
    waits = [_put_off(pipeline, outbox, retry_after) for retry_after in (0.0, 0.0, 0.0, 3600.0, None, *[0.0] * 20)]
    assert waits[:6] == [1, 2, 4, 3600, 16, 32]
    assert waits[-1] == 1800


def test_somebody_refused_thirty_thousand_times_keeps_nobodys_answer_from_the_ledger(pipeline: Pipeline) -> None:
    """The count of failures has an end, lest the whole batch with it could not be recorded."""
    pipeline.hire(person(1), person(2))
    pipeline.token = "wrong"
    with pytest.raises(Exception, match="token"):
        pipeline.run()
    with pipeline.ledger.begin() as connection:
        connection.execute(sa.text("update o2o.registration set failures = 32767"))
    outbox = Outbox(pipeline.ledger, pipeline.config.settings, "run")
    first, second = outbox.claim(2).intents
    busy = Answer(Outcome.BUSY, "HTTP 503", 503, retry_after=0.0)
    outbox.record([Result(first.attempt_id, busy), Result(second.attempt_id, Answer(Outcome.CREATED, "HTTP 201", 201))])
    assert sorted(pipeline.statuses().values()) == ["created", "pending"]
    assert pipeline.query("select failures from o2o.registration order by 1") == [(0,), (1000,)]


def _put_off(pipeline: Pipeline, outbox: Outbox, retry_after: float | None) -> Any:
    """Seconds until the person may be called again."""
    _later(pipeline)
    (intent,) = outbox.claim(1).intents
    outbox.record([Result(intent.attempt_id, Answer(Outcome.BUSY, "HTTP 429", 429, retry_after=retry_after))])
    ((seconds,),) = pipeline.query("select round(extract(epoch from not_before - updated_at)) from o2o.registration")
    return seconds


def _later(pipeline: Pipeline) -> None:
    with pipeline.ledger.begin() as connection:
        connection.execute(sa.text("update o2o.registration set not_before = now() - interval '1 second'"))
        connection.execute(sa.text("update o2o.delivery_state set wait_until = now(), next_call_at = now()"))
