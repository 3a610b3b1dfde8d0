"""dlt and drt, making the same calls. Runs with the Python of an environment that holds them and nothing else."""

from __future__ import annotations

import argparse
import json
import logging
import os
import tempfile
import time
from typing import Any

from benchmarks.contenders import ENDPOINT, payload

TOKEN = "token"


def dlt_tuned(url: str, people: int, concurrency: int) -> float:
    """dlt with the people spread over as many files as there are workers, or most workers would have no work."""
    share = str(max(1, people // concurrency))
    os.environ |= {"DATA_WRITER__FILE_MAX_ITEMS": share, "DATA_WRITER__BUFFER_MAX_ITEMS": share}
    return dlt_sink(url, people, concurrency)


def dlt_sink(url: str, people: int, concurrency: int) -> float:
    """A dlt destination function that posts each item, with so many workers, all else as it comes."""
    os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "LOAD__WORKERS": str(concurrency)}
    import dlt
    from dlt.sources.helpers import requests

    @dlt.destination(batch_size=1, loader_file_format="typed-jsonl", max_parallel_load_jobs=concurrency)
    def o2o(items: Any, table: Any) -> None:
        for item in items:
            body = {"user": json.loads(item["body"])}
            answer = requests.post(f"{url}/{ENDPOINT}", json=body, headers={"Authorization": f"Bearer {TOKEN}"})
            answer.raise_for_status()

    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline("bench", destination=o2o, pipelines_dir=folder)
        rows = ({"body": json.dumps(payload(n)["user"])} for n in range(people))
        pipeline.extract(rows, table_name="users")
        pipeline.normalize()
        started = time.perf_counter()
        pipeline.load()
        return time.perf_counter() - started


def drt_sink(url: str, people: int, concurrency: int) -> float:
    """drt's `rest_api` destination, one record after the other, its rate limit taken off."""
    from drt.config.models import RestApiDestinationConfig, SyncOptions
    from drt.destinations.rest_api import RestApiDestination

    fields = json.dumps({"user": {name: f"{{{{ row.{name} }}}}" for name in payload(0)["user"]}})
    config = RestApiDestinationConfig(
        type="rest_api",
        url=f"{url}/{ENDPOINT}",
        headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
        body_template=fields,
        rate_limit={"requests_per_second": 0},
    )
    records = [payload(n)["user"] for n in range(people)]
    started = time.perf_counter()
    result = RestApiDestination().load(records, config, SyncOptions())
    seconds = time.perf_counter() - started
    if result.success != people:
        raise SystemExit(f"drt made {result.success} of {people} calls")
    return seconds


SINKS = {"dlt": dlt_sink, "dlt_tuned": dlt_tuned, "drt": drt_sink}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("who", choices=sorted(SINKS))
    parser.add_argument("url")
    parser.add_argument("people", type=int)
    parser.add_argument("concurrency", type=int)
    options = parser.parse_args()
    logging.disable(logging.INFO)
    seconds = SINKS[options.who](options.url, options.people, options.concurrency)
    print(json.dumps({"seconds": seconds, "peak_mb": 0}))


if __name__ == "__main__":
    main()
