"""All steps over many people, each a process of its own: seconds and memory, beside COPY and bare pandas."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from demo.postgres import PostgresServer

from benchmarks.post import ROOT, settings
from benchmarks.server import lean_server
from tests.faults.steps import STEPS, Task, environment
from tests.faults.world import HR_TABLE

EXTRACT = (ROOT / "include" / "config" / "interested_employees.sql").read_text()


@dataclass(frozen=True)
class Step:
    """One step over `people` people; `seconds` without the process's start, `peak` in MB."""

    name: str
    people: int
    seconds: float
    peak: float


def run(postgres: PostgresServer, folder: Path, people: int, say: Callable[[Step], None]) -> list[Step]:
    """The pipeline's steps over so many new people, then the yardsticks over the same rows."""
    name = "bench_pipeline"
    postgres.drop_database(name)
    postgres.create_database(name)
    url = postgres.url(name)
    _hire(url, people)
    config = settings(folder, concurrency=64)
    found = []
    with lean_server(0) as api:
        variables = environment(url, api, "token", config, folder / "airflow")
        for step in (*STEPS, "copy candidate", "copy registration", "pandas"):
            found.append(_measured(step, people, url, variables))
            say(found[-1])
    postgres.drop_database(name)
    return found


def _hire(url: str, people: int) -> None:
    from o2o_registration import ledger

    ledger.upgrade(url)
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(HR_TABLE)
        connection.execute(
            sa.text("""
                insert into hr.employee
                select 'E' || n, 'P' || n, 'Ann', 'Peeters', 'e' || n || '@example.com', 'nl', 'white_collar', 'ACME',
                       true, now() - interval '1 minute'
                from generate_series(1, :people) as n
            """),
            {"people": people},
        )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("vacuum analyze hr.employee"))
    engine.dispose()


def _measured(step: str, people: int, url: str, variables: dict[str, str]) -> Step:
    paths = os.pathsep.join(str(ROOT / part) for part in ("include", "plugins", ""))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.pipeline", step, url],
        env={**os.environ, **variables, "PYTHONPATH": paths},
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return Step(step, people, found["seconds"], found["peak"])


def _do(step: str, url: str) -> Any:
    if step in STEPS:
        import logging

        import o2o_operator  # noqa: F401 - parsing the DAG file has imported it
        import o2o_tasks  # noqa: F401
        from airflow.sdk.execution_time.context import set_current_context

        from tests.faults import steps

        logging.disable(logging.INFO)
        task = Task(step, "bench", params={"max_people": 100_000_000})
        with set_current_context(steps.context_of(task)):
            started = time.perf_counter()
            steps._run(task)
            return time.perf_counter() - started
    from benchmarks import yardsticks

    started = time.perf_counter()
    {
        "copy candidate": yardsticks.copy_candidates,
        "copy registration": yardsticks.copy_registrations,
        "pandas": yardsticks.bare_pandas,
    }[step](url)
    return time.perf_counter() - started


if __name__ == "__main__":
    seconds = _do(sys.argv[1], sys.argv[2])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak": peak}))
