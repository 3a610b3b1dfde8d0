"""One way to make the calls, in a process of its own: prints its seconds and its peak memory as JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import resource
import time
from collections.abc import Callable, Iterator
from typing import Any

ENDPOINT = "receiver/APIv3/user.create"


def body(n: int) -> str:
    return json.dumps(payload(n))


def payload(n: int) -> dict[str, Any]:
    """The n-th person. The ledger is filled with the same ones."""
    return {
        "user": {
            "BikePlanCode": "ACME-2026",
            "FirstName": "Ann",
            "LastName": "Peeters",
            "Email": f"e{n}@example.com",
            "Language": "NL",
            "ContractType": "clerk",
            "partner_EmployeeID": f"E{n}",
            "PersonnelNumber": f"P{n}",
        }
    }


def bare(url: str, people: int, concurrency: int) -> float:
    """One aiohttp session, so many workers, no ledger: the limit."""
    import aiohttp

    async def worker(session: aiohttp.ClientSession, numbers: Iterator[int]) -> None:
        for n in numbers:
            async with session.post(f"{url}/{ENDPOINT}", json=payload(n)) as response:
                await response.json()

    async def main() -> float:
        started = time.perf_counter()
        numbers = iter(range(people))
        connector = aiohttp.TCPConnector(limit=concurrency)
        async with aiohttp.ClientSession(connector=connector, headers={"Authorization": "Bearer token"}) as session:
            await asyncio.gather(*(worker(session, numbers) for _ in range(concurrency)))
        return time.perf_counter() - started

    return asyncio.run(main())


def operator(url: str, people: int, concurrency: int) -> float:
    """The pipeline's operator with everything on; its people wait in the ledger."""
    import o2o_hook  # noqa: F401 - like aiohttp for the bare loop, imported before the clock starts
    import o2o_registration.config
    import o2o_registration.delivery  # noqa: F401
    from airflow.sdk.execution_time.context import set_current_context
    from o2o_operator import O2OUserCreateOperator

    from tests.faults.steps import Task, context_of

    context = context_of(Task("post", "bench", run_after=None))  # type: ignore[arg-type]
    post = O2OUserCreateOperator(task_id="post_users")
    with set_current_context(context):
        started = time.perf_counter()
        calls = post.execute(context)
        seconds = time.perf_counter() - started
    if calls != {"created": people}:
        raise SystemExit(f"the operator made {calls}, not {people} registrations")
    return seconds


def hook(url: str, people: int, concurrency: int) -> float:
    """`HttpHook.run` in a loop, one call after the other."""
    from airflow.providers.http.hooks.http import HttpHook

    caller = HttpHook(method="POST", http_conn_id="o2o_api")
    started = time.perf_counter()
    for n in range(people):
        caller.run(ENDPOINT, json=payload(n))
    return time.perf_counter() - started


CONTENDERS: dict[str, Callable[[str, int, int], float]] = {"bare": bare, "operator": operator, "hook": hook}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("who", choices=sorted(CONTENDERS))
    parser.add_argument("url")
    parser.add_argument("people", type=int)
    parser.add_argument("concurrency", type=int)
    options = parser.parse_args()
    logging.disable(logging.INFO)
    seconds = CONTENDERS[options.who](options.url, options.people, options.concurrency)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mb": peak}))


if __name__ == "__main__":
    main()
