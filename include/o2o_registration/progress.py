"""Progress of long work as task logs show it: a line every few seconds with done, rate and time left."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable


class Progress:
    """Counts what is done and says so every `every` seconds; `total` None where nobody knows it."""

    def __init__(
        self,
        log: logging.Logger,
        what: str,
        total: int | None = None,
        every: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log, self._what, self._every, self._clock = log, what, every, clock
        self.total = total
        self.done = 0
        self._started = self._said = clock()

    def add(self, count: int) -> None:
        self.done += count
        now = self._clock()
        if now - self._said >= self._every:
            self._said = now
            self._log.info(self.line())

    @property
    def seconds(self) -> float:
        return self._clock() - self._started

    def line(self) -> str:
        rate = self.done / self.seconds if self.seconds > 0 else 0.0
        if not self.total:
            return f"{self._what}: {self.done:,} done, {rate:,.0f}/s"
        share = min(1.0, self.done / self.total)
        left = f", {max(0, self.total - self.done) / rate:,.0f} s left" if rate > 0 else ""
        return f"{self._what}: {self.done:,} of {self.total:,} ({share:.0%}), {rate:,.0f}/s{left}"
