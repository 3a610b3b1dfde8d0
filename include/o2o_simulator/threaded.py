"""The simulator for synchronous tests: it lives in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from o2o_simulator.faults import Fault
from o2o_simulator.records import Call, Mail, Summary
from o2o_simulator.registration import DEMO_BIKE_PLANS
from o2o_simulator.server import Simulator

T = TypeVar("T")


class RunningSimulator:
    """A `Simulator` seen from another thread; each answer is a snapshot. Readable after it stopped, too."""

    def __init__(self, simulator: Simulator, loop: asyncio.AbstractEventLoop) -> None:
        self._simulator = simulator
        self._loop = loop

    @property
    def url(self) -> str:
        """The server's address without a trailing slash."""
        return self._simulator.url

    @property
    def mailbox(self) -> list[Mail]:
        """All e-mails, oldest first."""
        return self._ask(lambda: self._simulator.mailbox)

    @property
    def calls(self) -> list[Call]:
        """All calls in order of arrival, running ones included."""
        return self._ask(lambda: self._simulator.calls)

    def summary(self) -> Summary:
        """The numbers so far."""
        return self._ask(self._simulator.summary)

    def reset(self) -> None:
        """Forget mails, people, calls and counters; active faults stay."""
        self._ask(self._simulator.reset)

    def add_fault(self, kind: str, **options: object) -> Fault:
        """Activate a fault; FaultError if the description is wrong."""
        return self._ask(lambda: self._simulator.add_fault(kind, **options))

    def clear_faults(self) -> int:
        """Deactivate all faults; gives their number."""
        return self._ask(self._simulator.clear_faults)

    def _ask(self, question: Callable[[], T]) -> T:
        if not self._loop.is_running():
            return question()

        async def reply() -> T:
            return question()

        return asyncio.run_coroutine_threadsafe(reply(), self._loop).result()


@contextmanager
def running_simulator(
    token: str,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    bike_plans: Iterable[str] = DEMO_BIKE_PLANS,
    base_latency: float = 0.0,
    journal: Path | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[RunningSimulator]:
    """Run a simulator in a thread for as long as the block lasts; SimulatorError if it cannot start."""
    simulator = Simulator(
        token, host=host, port=port, bike_plans=bike_plans, base_latency=base_latency, journal=journal, tls=tls
    )
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="o2o-simulator", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(simulator.start(), loop).result()
        try:
            yield RunningSimulator(simulator, loop)
        finally:
            asyncio.run_coroutine_threadsafe(_stop(simulator), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _stop(simulator: Simulator) -> None:
    await simulator.stop()
    loop = asyncio.get_running_loop()
    await loop.shutdown_default_executor()
    await loop.shutdown_asyncgens()
