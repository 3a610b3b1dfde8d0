"""How far ahead of the calls the ledger is asked for people, and how long ago that was."""

from __future__ import annotations

import time

wall = time.time

_NEWEST = 0.3
"""Weight of the newest measurement in the running mean: a few claims, and a change of o2o's pace is felt."""


class Pace:
    """Counts how many calls end while one claim is made, for so many connections would idle meanwhile.

    Claimed ahead, those people wait some milliseconds with their intent committed. A crash then puts them in doubt
    too, so they are no more than needed: none where o2o takes its time or the rate limit is what holds us up.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._looked: tuple[float, int] | None = None
        self._rate = 0.0
        self.ahead = 0

    def claimed(self, now: float, seconds: float, ended: int) -> None:
        """A claim that took `seconds` is done; `ended` calls have ended since the beginning."""
        if self._looked is not None:
            before, count = self._looked
            rate = (ended - count) / max(now - before, 1e-6)
            self._rate += _NEWEST * (rate - self._rate)
            # a connection that falls free just after one claim began waits for the next to end
            self.ahead = min(self._limit, int(self._rate * 2 * seconds))
        self._looked = now, ended


class Since:
    """When something was done, by two clocks: one stands still while a virtual machine is suspended, the other may be
    put back."""

    def __init__(self) -> None:
        self.steady, self._wall = time.monotonic(), wall()

    @property
    def seconds(self) -> float:
        """The longer of what both say."""
        return max(time.monotonic() - self.steady, wall() - self._wall)
