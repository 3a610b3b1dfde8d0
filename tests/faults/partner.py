"""o2o misbehaves: each row of the retry table, singly and mixed, and an outage of an hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from tests.faults.steps import Exit
from tests.faults.world import World

Fault = tuple[str, dict[str, Any]]


def retry_after(value: str | None, status: int = 429) -> Fault:
    """A busy o2o that says so in one way or another."""
    return "status", {"status": status, "headers": {} if value is None else {"Retry-After": value}}


def _date(seconds: int) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


# fault -> what the simulator does; a share of the calls is struck
FAULTS: dict[str, Fault] = {
    "429, Retry-After in seconds": retry_after("20"),
    "429, Retry-After as a date": retry_after(_date(60)),
    "429, no Retry-After": retry_after(None),
    "503, absurd Retry-After": retry_after("99999999999", 503),
    "429, Retry-After is no time": retry_after("soon"),
    "503, Retry-After of the past": retry_after("Mon, 01 Jan 2001 00:00:00 GMT", 503),
    "500, not processed": ("status", {"status": 500}),
    "500, processed": ("status", {"status": 500, "processed": True}),
    "502, processed": ("status", {"status": 502, "processed": True}),
    "504": ("status", {"status": 504}),
    "422": ("status", {"status": 422}),
    "HTML page": ("html", {}),
    "no JSON": ("not_json", {}),
    "2xx that contradicts its body": ("contradiction", {}),
    "answer breaks off": ("half_body", {}),
    "one byte a second": ("slow_body", {"interval": 1}),
    "body of 100 MB": ("huge_body", {"bytes": 100_000_000}),
    "reset before reading": ("reset_before_read", {}),
    "reset after reading, processed": ("reset_after_read", {"processed": True}),
    "reset after reading, not processed": ("reset_after_read", {"processed": False}),
    "no answer": ("hang", {}),
    "slow answers": ("latency", {"seconds": 0.5}),
}
# what concerns every call: the run stops, and is cleared once it is mended
STOPPERS: dict[str, Fault] = {
    "401": ("status", {"status": 401}),
    "403": ("status", {"status": 403}),
    "404": ("status", {"status": 404}),
    "405": ("status", {"status": 405}),
    "redirect": ("redirect", {}),
}


def single(world: World, fault: Fault, people: int, share: float = 0.3) -> int:
    """A share of all calls is struck by one fault, over several runs. Returns the calls struck."""
    kind, options = fault
    world.simulator.add_fault(kind, share=share, seed=world.dice.randint(0, 10**6), **options)
    return _trouble(world, people)


MIXED_RUNS = 10
ACTIVE_RUNS = 4


def mixed(world: World, people: int, share: float = 0.03) -> int:
    """All of them at once, a small share each."""
    for kind, options in FAULTS.values():
        world.simulator.add_fault(kind, share=share, seed=world.dice.randint(0, 10**6), **options)
    for _ in range(MIXED_RUNS):
        world.hire(people // MIXED_RUNS)
        world.run()
        # an absurd Retry-After among them stops everything for a day
        world.pass_time(world.dice.choice((1000, 25 * 3600)))
        world.resume()
    return _mended(world)


def stopping(world: World, fault: Fault, people: int) -> int:
    """Every call would fail: the run fails at once, and everybody stays pending."""
    kind, options = fault
    world.simulator.add_fault(kind, share=1, **options)
    world.hire(people)
    assert world.run() == Exit.FAILED
    assert world.ids("pending") == world.expected
    return _mended(world)


def _trouble(world: World, people: int) -> int:
    for _ in range(3):
        world.hire(people // 3)
        world.run()
        world.pass_time(world.dice.choice((30, 400, 1000)))
    return _mended(world)


def _mended(world: World) -> int:
    struck = sum(call.fault is not None for call in world.simulator.calls)
    world.simulator.clear_faults()
    world.pass_time(24 * 3600)
    world.drain()
    return struck


def outage(world: World, people: int, fault: Fault, seconds: int = 3600) -> tuple[int, int, float]:
    """An hour without o2o, a scheduled run every five minutes and a task that comes back when it said so.

    Returns calls struck, people in doubt at the end of it, and the most calls in one second afterwards.
    """
    world.settings(delivery={"calls_per_second": 50})
    world.hire(people)
    kind, options = fault
    world.simulator.add_fault(kind, share=1, **options)
    gone = 0.0
    while gone < seconds:
        # as many as the DAG lets be active at a time
        if len(world.deferred) < ACTIVE_RUNS:
            world.run()
        ((wait,),) = world.query("""
            select least(300, greatest(1, extract(epoch from wait_until - now()))) from o2o.delivery_state
        """)
        pause = float(wait or 300)
        world.pass_time(pause)
        world.resume()
        gone += pause
    doubtful = len(world.ids("in_doubt"))
    struck = len(world.simulator.calls)
    world.simulator.clear_faults()
    world.pass_time(1800)
    world.drain()
    return struck, doubtful, _busiest(world, struck)


def _busiest(world: World, before: int) -> float:
    times = sorted(call.at for call in world.simulator.calls[before:])
    window = timedelta(seconds=1)
    return max((sum(at <= other < at + window for other in times) for at in times), default=0)
