"""Where a task kills itself: SIGKILL at an exact point of its way, which a clock would hit only by luck."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa

POST_POINTS = (
    "before the intent",
    "during the intent",
    "between intent and call",
    "in flight",
    "before recording",
    "during recording",
    "after recording",
)


class _Countdown:
    """Dies at the nth arrival."""

    def __init__(self, nth: int) -> None:
        self._left = nth

    def arrive(self) -> bool:
        self._left -= 1
        return self._left == 0

    def die(self) -> None:
        if self.arrive():
            os.kill(os.getpid(), signal.SIGKILL)


@contextlib.contextmanager
def armed(point: str | None, nth: int) -> Iterator[None]:
    """Within the block, reaching `point` for the nth time is the end of the process."""
    if point is not None:
        _ARM[point](_Countdown(nth))
    yield


def _outbox(method: str, before: bool) -> Callable[[_Countdown], None]:
    def arm(countdown: _Countdown) -> None:
        from o2o_registration.outbox import Outbox

        real = getattr(Outbox, method)

        def mined(self: Any, *arguments: Any) -> Any:
            if before:
                countdown.die()
            result = real(self, *arguments)
            # an empty claim announces no call
            if not before and result != []:
                countdown.die()
            return result

        setattr(Outbox, method, mined)

    return arm


def _statement(marker: str) -> Callable[[_Countdown], None]:
    """After the statement, before its commit."""

    def arm(countdown: _Countdown) -> None:
        def executed(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if marker in statement:
                countdown.die()

        sa.event.listen(sa.Engine, "after_cursor_execute", executed)

    return arm


def _in_flight(countdown: _Countdown) -> None:
    from o2o_hook import O2OHook

    real = O2OHook.sender

    @asynccontextmanager
    async def mined(self: Any, *arguments: Any) -> AsyncIterator[Any]:
        async with real(self, *arguments) as send:

            async def sending(payload: Any) -> Any:
                if countdown.arrive():
                    # anywhere between the first byte out and the last byte in
                    delay = random.uniform(0, 0.06)
                    asyncio.get_running_loop().call_later(delay, os.kill, os.getpid(), signal.SIGKILL)
                return await send(payload)

            yield sending

    O2OHook.sender = mined  # type: ignore[method-assign,assignment]


_ARM: dict[str, Callable[[_Countdown], None]] = {
    "before the intent": _outbox("claim", before=True),
    "during the intent": _statement("insert into o2o.attempt"),
    "between intent and call": _outbox("claim", before=False),
    "in flight": _in_flight,
    "before recording": _outbox("record", before=True),
    "during recording": _statement("update o2o.attempt t"),
    "after recording": _outbox("record", before=False),
}
