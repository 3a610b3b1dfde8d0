"""An event loop in a thread of its own, because signals strike the main one.

Airflow ends a task that takes too long by an exception at whatever the main thread is doing. In an event loop that
would be a call, whoever records the answers, or nobody who notices; and asyncio then cancels all the others.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Callable[[], Coroutine[Any, Any, T]], stop: Callable[[], None]) -> T:
    """What `main` returns. An exception here, of a signal say, calls `stop` and is raised when `main` has ended."""
    with ThreadPoolExecutor(1, "o2o-delivery") as pool:
        running = pool.submit(contextvars.copy_context().run, lambda: asyncio.run(main()))
        try:
            return running.result()
        except BaseException:
            stop()
            raise
