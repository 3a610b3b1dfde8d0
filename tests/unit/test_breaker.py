"""How long o2o is left alone, and how many calls may be under way."""

from __future__ import annotations

import itertools

import pytest
from o2o_registration.answers import Answer, Outcome
from o2o_registration.breaker import MAX_OPEN_SECONDS, Breaker, BreakerState

GOOD = Answer(Outcome.CREATED, "HTTP 201", http_status=201)
FAILED = Answer(Outcome.NOT_SENT, "the host name was not found")


def busy(retry_after: float | None) -> Answer:
    return Answer(Outcome.BUSY, "HTTP 429", http_status=429, retry_after=retry_after)


class Timed:
    """A breaker, and the clock that it looks at."""

    def __init__(self, state: BreakerState | None = None, failures: int = 5) -> None:
        self.now = 1000.0
        self.breaker = Breaker(failures, 60.0, 64, state, lambda: self.now)

    def waits(self, answer: Answer) -> float:
        """What an answer that comes when o2o may be called makes of it; then it is waited for."""
        self.breaker.note(answer)
        waits = self.breaker.wait
        self.now += waits
        return waits


@pytest.mark.parametrize(
    ("retry_after", "waits"),
    [
        pytest.param(0.0, [1, 2, 4, 8, 16, 32, 64, 128], id="at once, or a date of the past: a second, then longer"),
        pytest.param(None, [5, 10, 20, 40, 80, 160], id="not said"),
        pytest.param(20.0, [20, 20, 20, 20, 20, 32, 64], id="said: never less, and longer where it did not help"),
        pytest.param(86_400.0, [86_400, 86_400], id="longer than we would wait by ourselves: as said"),
    ],
)
def test_a_busy_o2o_is_left_alone_longer_each_time(retry_after: float | None, waits: list[float]) -> None:
    """So that in the end the wait is one that nobody sits out."""
    timed = Timed()
    assert [timed.waits(busy(retry_after)) for _ in waits] == waits


def test_a_good_answer_lets_the_waits_begin_anew() -> None:
    timed = Timed()
    assert [timed.waits(busy(0.0)) for _ in range(3)] == [1, 2, 4]
    timed.breaker.note(GOOD)
    assert timed.waits(busy(0.0)) == 1


def test_refusals_of_calls_that_were_under_way_together_are_one() -> None:
    timed = Timed()
    for _ in range(10):
        timed.breaker.note(busy(0.0))
    assert timed.breaker.wait == 1


@pytest.mark.parametrize("answer", [busy(0.0), FAILED], ids=["busy", "failed"])
def test_no_outage_is_too_long_for_our_arithmetic(answer: Answer) -> None:
    """Two months of half hours."""
    timed = Timed()
    waits = [timed.waits(answer) for _ in range(3000)]
    assert waits[-1] == MAX_OPEN_SECONDS


def test_the_waits_go_on_growing_in_the_next_run() -> None:
    """Which loads what this one has left."""
    timed = Timed()
    for _ in range(4):
        timed.waits(busy(0.0))
    assert Timed(timed.breaker.state()).waits(busy(0.0)) == 16


def test_the_reason_of_a_wait_outlives_a_good_answer_that_was_under_way() -> None:
    timed = Timed()
    timed.breaker.note(busy(3600.0))
    timed.breaker.note(GOOD)
    assert timed.breaker.detail == "o2o is busy: HTTP 429"
    timed.now += 3600
    assert timed.breaker.detail is None


def test_failures_open_it_and_each_failed_probe_doubles_the_wait() -> None:
    timed = Timed()
    waits = [timed.waits(FAILED) for _ in range(5)]
    assert waits == [0, 0, 0, 0, 60]
    assert timed.breaker.allowance == 1
    assert list(itertools.islice(map(timed.waits, itertools.repeat(FAILED)), 3)) == [120, 240, 480]
    timed.breaker.note(GOOD)
    assert timed.breaker.allowance > 1
