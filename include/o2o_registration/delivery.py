"""`registration` -> calls -> `attempt`: the delivery engine.

A person is claimed, and the intent committed, only when the call can leave at once (see `pace` for the few
milliseconds that this is from true), so that a crash leaves in doubt what was under way and nothing more. Answers
are recorded in micro-batches while calls go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from o2o_registration import beside
from o2o_registration.answers import STOPS_RUN, Answer, Outcome
from o2o_registration.breaker import Breaker
from o2o_registration.calling import Send, call
from o2o_registration.errors import DeliveryStopped, LedgerError, WrongAddress, WrongCertificate, WrongToken
from o2o_registration.outbox import Intent, Outbox, Result
from o2o_registration.pace import Pace, Since
from o2o_registration.progress import Progress
from o2o_registration.settings import Settings

log = logging.getLogger(__name__)

LIMITER_SLICE = 0.1
"""Seconds. People are claimed for so long at a time, so that a full second hardly sees more than 1.1 times the rate."""
STALE_INTENT_SECONDS = 5.0
"""A process that was frozen this long between intent and call must not make the call: others may have given it up."""
GATHER_SECONDS = 0.004
"""Calls end one by one, and a transaction for each would cost more than the calls: those that end within this are
claimed and recorded together."""
MIN_PAUSE = 0.05
"""Seconds between looks at a ledger whose people are due but locked by another run."""
STOP_SECONDS = 3.5
"""How long calls under way may still take once we are asked to stop: Airflow kills a task 5 s after asking."""
HURRY_SECONDS = 0.1
"""How soon it is noticed that somebody who stops us cannot wait as long as whoever did before."""
RECORD_TRIES = (0.5, 1, 2, 4, 8, 15, 30)
"""Seconds between tries to record answers while the ledger is away; the answers are all we have."""
_STOPS: dict[Outcome, type[DeliveryStopped]] = {
    Outcome.WRONG_TOKEN: WrongToken,
    Outcome.WRONG_ADDRESS: WrongAddress,
    Outcome.WRONG_CERTIFICATE: WrongCertificate,
}


@dataclass(frozen=True)
class Delivered:
    """Calls by outcome; `waiting` seconds until o2o may be called again where the work ended before its end."""

    outcomes: dict[Outcome, int]
    recovered: int
    resent: int
    waiting: float | None
    why: str | None
    seconds: float

    @property
    def calls(self) -> int:
        return sum(self.outcomes.values())


class Delivery:
    """Delivers what is due in the ledger. One instance, one run of the event loop."""

    def __init__(self, outbox: Outbox, settings: Settings, connection_id: str = "o2o_api") -> None:
        self._outbox, self._settings = outbox, settings.delivery
        self._send: Send
        self._connection_id = connection_id
        self._burst = max(1, int(settings.delivery.calls_per_second * LIMITER_SLICE))
        self._outcomes: Counter[Outcome] = Counter()
        self._calls: set[asyncio.Task[None]] = set()
        self._free = asyncio.Semaphore(self._settings.concurrency)
        self._pace = Pace(self._settings.concurrency)
        self._results: list[Result] = []
        self._news = asyncio.Event()
        self._stop_asked = asyncio.Event()
        self._deadline = math.inf
        self._stopped_by: Answer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def stop(self, within: float = STOP_SECONDS) -> None:
        """Claim no more; calls under way get `within` seconds and are recorded. From any thread or signal handler."""
        self._deadline = min(self._deadline, time.monotonic() + within)
        # a loop that is closed has nothing left to stop
        with contextlib.suppress(RuntimeError):
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._stop_asked.set)

    async def run(self, send: Send) -> Delivered:
        """Deliver by `send` until nothing is due or o2o must not be called for long.

        Raises DeliveryStopped when every call would fail, LedgerError when answers cannot be kept.
        """
        self._loop, self._send = asyncio.get_running_loop(), send
        if self._deadline < math.inf:
            self._stop_asked.set()
        recovered = await asyncio.to_thread(self._outbox.recover)
        resent = await asyncio.to_thread(self._outbox.resend_doubtful)
        breaker = await asyncio.to_thread(self._breaker)
        progress = Progress(log, "Calling o2o", await asyncio.to_thread(self._outbox.due))
        recorder = asyncio.create_task(self._record_all(breaker, progress))
        waiting: float | None = None
        try:
            waiting = await self._claim_all(breaker, recorder)
        except asyncio.CancelledError:
            self.stop()
            raise
        finally:
            await self._finish(recorder)
            if breaker.noted:
                await asyncio.to_thread(self._outbox.save_breaker, breaker.state())
        if self._stopped_by is not None:
            raise _STOPS[self._stopped_by.outcome](self._stopped_by.detail, self._connection_id)
        return Delivered(
            dict(self._outcomes),
            recovered,
            resent,
            waiting,
            breaker.detail if waiting else None,
            progress.seconds,
        )

    def _breaker(self) -> Breaker:
        settings = self._settings
        return Breaker(
            settings.breaker_failures,
            settings.breaker_seconds,
            settings.concurrency,
            self._outbox.load_breaker(),
        )

    async def _claim_all(self, breaker: Breaker, recorder: asyncio.Task[None]) -> float | None:
        """Returns seconds to wait when that is too long to sit out, else None."""
        while not self._ending(recorder):
            if (wait := breaker.wait) > 0:
                if wait > self._settings.max_wait_seconds:
                    return wait
                log.info("Waiting %.0f s: %s", wait, breaker.detail)
                await self._sleep(wait)
                continue
            room = min(self._room(breaker), self._settings.claim_batch, self._burst)
            if room <= 0:
                await self._call_ended()
                await asyncio.sleep(GATHER_SECONDS)
                continue
            asked = Since()
            claim = await asyncio.to_thread(self._outbox.claim, room, breaker.is_open)
            now = time.monotonic()
            self._pace.claimed(now, GATHER_SECONDS + now - asked.steady, self._outcomes.total())
            for intent in claim.intents:
                self._start(intent, asked, breaker)
            if (pause := asked.steady + claim.pause - now) > 0:
                await self._sleep(pause)
            elif not claim.pause and not await self._more(recorder):
                return None
        return None

    def _room(self, breaker: Breaker) -> int:
        allowed = breaker.allowance
        if allowed == self._settings.concurrency:
            allowed += self._pace.ahead
        return allowed - len(self._calls)

    def _ending(self, recorder: asyncio.Task[None]) -> bool:
        return self._stop_asked.is_set() or self._stopped_by is not None or recorder.done()

    async def _more(self, recorder: asyncio.Task[None]) -> bool:
        """Nothing was due: wait for what is under way, then for who may soon be called again."""
        if self._calls:
            await self._call_ended()
            return True
        await self._recorded(recorder)
        wait = await asyncio.to_thread(self._outbox.next_due)
        if wait is None or wait > self._settings.max_wait_seconds:
            return False
        if wait > 1:
            log.info("Waiting %.0f s for people who may be called again then", wait)
        await self._sleep(max(wait, MIN_PAUSE))
        return True

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop_asked.wait(), seconds)

    async def _call_ended(self) -> None:
        """Until a call has ended, or we are asked to stop."""
        stop = asyncio.create_task(self._stop_asked.wait())
        await asyncio.wait({*self._calls, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()

    def _start(self, intent: Intent, announced: Since, breaker: Breaker) -> None:
        task = asyncio.create_task(self._call(intent, announced, breaker))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _call(self, intent: Intent, announced: Since, breaker: Breaker) -> None:
        waits = self._free.locked()
        async with self._free:
            if why := self._why_not(announced, waits and breaker.is_open):
                answer = Answer(Outcome.NOT_SENT, f"not called: {why}")
            else:
                answer = await self._answer(intent, breaker)
        if answer.outcome in STOPS_RUN:
            self._stopped_by = answer
        self._outcomes[answer.outcome] += 1
        self._results.append(Result(intent.attempt_id, answer))
        self._news.set()

    def _why_not(self, announced: Since, shut: bool) -> str | None:
        """Why a call that was announced must not be made after all."""
        if announced.seconds > STALE_INTENT_SECONDS:
            return "the process was frozen since it announced the call"
        if self._stop_asked.is_set():
            return "the task was asked to stop"
        if shut or self._stopped_by is not None:
            return "o2o began to fail since it was announced"
        return None

    async def _answer(self, intent: Intent, breaker: Breaker) -> Answer:
        limits = self._settings.call_seconds, self._settings.max_answer_bytes
        try:
            answer = await call(self._send, intent.body, *limits)
        except asyncio.CancelledError:
            # only _finish cancels a call, and then waits for what is said here; it is nothing about o2o
            return Answer(Outcome.IN_DOUBT, "given up: the task was stopped before the answer came")
        breaker.note(answer)
        return answer

    async def _record_all(self, breaker: Breaker, progress: Progress) -> None:
        was_open = breaker.is_open
        while True:
            await self._news.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._news.clear()
            while batch := self._results[: self._settings.claim_batch]:
                await self._record(batch)
                del self._results[: len(batch)]
                progress.add(len(batch))
            if breaker.is_open != was_open:
                was_open = breaker.is_open
                log.warning(
                    "Circuit breaker %s: %s",
                    "opened" if was_open else "closed",
                    breaker.detail or "o2o answers",
                )
                await asyncio.to_thread(self._outbox.save_breaker, breaker.state())

    async def _record(self, batch: Sequence[Result]) -> None:
        for pause in (*RECORD_TRIES, None):
            try:
                await asyncio.to_thread(self._outbox.record, batch)
            except sa.exc.DBAPIError as error:
                if pause is None:
                    raise LedgerError(
                        f"{len(self._results)} answers could not be recorded: the ledger was away for"
                        f" {sum(RECORD_TRIES):.0f} s. Their people will be in doubt. Mend PostgreSQL, then clear"
                        " this task."
                    ) from None
                log.warning(
                    "The ledger is away (%s); %d answers wait, next try in %.1f s",
                    type(error.orig).__name__,
                    len(self._results),
                    pause,
                )
                await asyncio.sleep(pause)
            else:
                return

    async def _recorded(self, recorder: asyncio.Task[None]) -> None:
        """Until every answer is in the ledger, or the recorder has given up."""
        while self._results and not recorder.done():
            self._news.set()
            await asyncio.sleep(0.01)

    async def _finish(self, recorder: asyncio.Task[None]) -> None:
        """Let calls under way end, which takes `call_seconds` at most (less when asked to stop), and record them
        all."""
        if self._calls:
            log.info("Waiting for %d calls under way", len(self._calls))
        while self._calls and not self._stop_asked.is_set():
            await self._call_ended()
        while self._calls and (left := self._deadline - time.monotonic()) > 0:
            await asyncio.wait(set(self._calls), timeout=min(left, HURRY_SECONDS))
        for late in set(self._calls):
            late.cancel()
        if self._calls:
            await asyncio.wait(set(self._calls))
        await self._recorded(recorder)
        if recorder.done():
            recorder.result()
        recorder.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await recorder


def deliver(
    outbox: Outbox,
    send: Callable[[], contextlib.AbstractAsyncContextManager[Send]],
    settings: Settings,
    on_start: Callable[[Delivery], None] = lambda _: None,
    connection_id: str = "o2o_api",
) -> Delivered:
    """Run a delivery to its end in an event loop of its own; `on_start` receives it, to stop it from elsewhere.

    `connection_id` is the Airflow connection to mend where o2o accepts none of our calls.
    """
    delivery = Delivery(outbox, settings, connection_id)
    on_start(delivery)

    async def main() -> Delivered:
        async with send() as session:
            return await delivery.run(session)

    # Airflow's million objects outlive us: looking through them for garbage stops all calls for a tenth of a second
    gc.freeze()
    try:
        return beside.run(main, delivery.stop)
    finally:
        gc.unfreeze()
