"""The circuit breaker: an outage at o2o leaves a handful of people in doubt, not thousands. Pure but for its clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from o2o_registration.answers import Answer, Outcome

MAX_OPEN_SECONDS = 1800.0
DEFAULT_BUSY_SECONDS = 5.0
"""How long to wait for an o2o that is busy and does not say for how long."""
_FAILURES = frozenset({Outcome.IN_DOUBT, Outcome.NOT_SENT})
_GOOD = frozenset({Outcome.CREATED, Outcome.EXISTING, Outcome.REJECTED})


@dataclass(frozen=True)
class BreakerState:
    """What outlives a run: failures in a row, openings in a row, seconds still to wait, and why."""

    failures: int = 0
    openings: int = 0
    wait: float = 0.0
    detail: str | None = None


class Breaker:
    """Counts failures in a row and says how many calls may be under way.

    Calls ramp up as o2o proves that it answers, so that an outage at the start of a batch cannot put a whole
    window of calls in doubt.
    """

    def __init__(
        self,
        failures: int,
        seconds: float,
        concurrency: int,
        state: BreakerState | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        state = state or BreakerState()
        self._limit, self._seconds, self._concurrency, self._clock = failures, seconds, concurrency, clock
        self._failures, self._openings, self.detail = state.failures, state.openings, state.detail
        self._open_until = clock() + state.wait
        self._ramp = min(failures, concurrency)

    @property
    def wait(self) -> float:
        """Seconds until a call may leave; 0 when one may."""
        return max(0.0, self._open_until - self._clock())

    @property
    def is_open(self) -> bool:
        return self._failures >= self._limit

    @property
    def allowance(self) -> int:
        """How many calls may be under way at once: none while waiting, one as a probe, else the ramp."""
        if self.wait > 0:
            return 0
        if self.is_open:
            return 1
        # after a failure no more than would open it, so that an outage cannot put more than that in doubt
        return min(self._ramp, self._limit - self._failures) if self._failures else self._ramp

    def state(self) -> BreakerState:
        return BreakerState(self._failures, self._openings, self.wait, self.detail)

    def note(self, answer: Answer) -> None:
        """Learn from one answer, in the order in which answers come."""
        if answer.outcome in _GOOD:
            self._failures = self._openings = 0
            self.detail = None
            self._ramp = min(self._concurrency, self._ramp + 1)
        elif answer.outcome in _FAILURES:
            self._fail(answer.detail)
        elif answer.outcome is Outcome.BUSY:
            wait = DEFAULT_BUSY_SECONDS if answer.retry_after is None else answer.retry_after
            self._ramp = max(1, self._ramp // 2)
            self._pause(wait, f"o2o is busy: {answer.detail}")

    def _fail(self, detail: str) -> None:
        self._failures += 1
        self._ramp = min(self._limit, self._concurrency)
        # calls that were under way when it opened are no new openings
        if self.is_open and self.wait == 0:
            seconds = min(self._seconds * 2**self._openings, MAX_OPEN_SECONDS)
            self._openings += 1
            self._pause(seconds, f"{self._failures} failures in a row, the last: {detail}")

    def _pause(self, seconds: float, detail: str) -> None:
        until = self._clock() + seconds
        if until > self._open_until:
            self._open_until, self.detail = until, detail
