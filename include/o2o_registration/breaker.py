"""The circuit breaker: an outage at o2o leaves a handful of people in doubt, not thousands. Pure but for its clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from o2o_registration.answers import Answer, Outcome

MAX_OPEN_SECONDS = 1800.0
DEFAULT_BUSY_SECONDS = 5.0
"""How long to wait at first for an o2o that is busy and does not say for how long."""
MIN_BUSY_SECONDS = 1.0
"""... and for one that is busy and says "come back at once"."""
_MAX_DOUBLINGS = 20
"""Far beyond MAX_OPEN_SECONDS already, and no number too large for a float."""
_FAILURES = frozenset({Outcome.IN_DOUBT, Outcome.NOT_SENT})
_GOOD = frozenset({Outcome.CREATED, Outcome.EXISTING, Outcome.REJECTED})


@dataclass(frozen=True)
class BreakerState:
    """What outlives a run: failures in a row, pauses in a row (`openings`), seconds still to wait, and why."""

    failures: int = 0
    openings: int = 0
    wait: float = 0.0
    detail: str | None = None
    good: float | None = None
    """Seconds since a good answer to whoever saves this; None: there was none."""

    @property
    def is_open(self) -> bool:
        """Whether it had been opened, after however many failures, and no good answer has closed it."""
        return self.failures > 0 and self.openings > 0


class Breaker:
    """Counts failures in a row and says how many calls may be under way.

    Each pause without a good answer since the one before, be it for failures or for a busy o2o, is twice as long.

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
        # a shard opens it after fewer failures than we would; it is open all the same
        self._failures = max(state.failures, failures) if state.is_open else state.failures
        self._openings, self._detail = state.openings, state.detail
        self.noted = False
        self._good_at: float | None = None
        self._open_until = clock() + state.wait
        self._ramp = min(failures, concurrency)

    @property
    def wait(self) -> float:
        """Seconds until a call may leave; 0 when one may."""
        return max(0.0, self._open_until - self._clock())

    @property
    def detail(self) -> str | None:
        """Why o2o is left alone; None while nothing is wrong."""
        return self._detail if self._failures or self.wait > 0 else None

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
        good = None if self._good_at is None else self._clock() - self._good_at
        return BreakerState(self._failures, self._openings, self.wait, self.detail, good)

    def note(self, answer: Answer) -> None:
        """Learn from one answer, in the order in which answers come."""
        self.noted = True
        if answer.outcome in _GOOD:
            self._failures = self._openings = 0
            self._good_at = self._clock()
            self._ramp = min(self._concurrency, self._ramp + 1)
        elif answer.outcome in _FAILURES:
            self._fail(answer.detail)
        elif answer.outcome is Outcome.BUSY:
            self._ramp = max(1, self._ramp // 2)
            least = DEFAULT_BUSY_SECONDS if answer.retry_after is None else MIN_BUSY_SECONDS
            self._pause(least, f"o2o is busy: {answer.detail}", answer.retry_after or least)

    def _fail(self, detail: str) -> None:
        self._failures += 1
        self._ramp = min(self._limit, self._concurrency)
        if self.is_open:
            self._pause(self._seconds, f"{self._failures} failures in a row, the last: {detail}")

    def _pause(self, seconds: float, detail: str, asked: float = 0.0) -> None:
        """Leave o2o alone for `seconds`, doubled for each pause in a row, or for as long as it asked."""
        # what was under way when the pause began is no new reason for one, but may know how long it has to be
        if self.wait == 0:
            asked = max(asked, min(seconds * 2 ** min(self._openings, _MAX_DOUBLINGS), MAX_OPEN_SECONDS))
            self._openings += 1
        until = self._clock() + asked
        if until > self._open_until:
            self._open_until, self._detail = until, detail
