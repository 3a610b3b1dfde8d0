"""What needs a whole Airflow: idle runs, the way from HR's commit to the mailbox, one task per call, parsing."""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa
from demo.console import Reporter
from demo.layout import Layout, Ports
from demo.stack import Stack, StackConfig
from demo.warehouse import Warehouse
from demo.web import call
from rich.console import Console

from benchmarks.post import ROOT

DAG = "o2o_register_interested_employees"


@dataclass(frozen=True)
class Run:
    """`cpu` in seconds of the task's processes, `wall` from the run's start to its end; `tasks` name -> (start, end)
    in seconds after the run was asked for."""

    dag: str
    cpu: float
    wall: float
    tasks: dict[str, tuple[float, float]] = field(default_factory=dict)


class Scheduled:
    """A running Airflow with the pipeline's DAG and the yardsticks."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def run(self, dag: str, seconds: float = 600) -> Run:
        """Trigger one run and wait for its end. Raises RuntimeError when it fails."""
        before, asked = self._cpu(), datetime.now(UTC)
        run = self.stack.api.trigger(dag)
        until = time.monotonic() + seconds
        while (state := self.stack.api.run_state(dag, run)) not in ("success", "failed"):
            if time.monotonic() > until:
                raise RuntimeError(f"a run of {dag} is {state} after {seconds:.0f} s")
            time.sleep(0.2)
        if state == "failed":
            raise RuntimeError(f"a run of {dag} failed")
        cpu = self._cpu() - before
        found = self.stack.api.call("GET", f"/dags/{dag}/dagRuns/{run}")
        tasks = {
            f"{one['task_id']}{one['map_index'] if one['map_index'] >= 0 else ''}": (
                _seconds(asked, one["start_date"]),
                _seconds(asked, one["end_date"]),
            )
            for one in self._instances(dag, run)
            if one["start_date"] and one["state"] == "success"
        }
        return Run(dag, cpu, _seconds(_instant(found["start_date"]), found["end_date"]), tasks)

    def _instances(self, dag: str, run: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            # Airflow gives a hundred at most
            path = f"/dags/{dag}/dagRuns/{run}/taskInstances?limit=100&offset={len(found)}"
            page = self.stack.api.call("GET", path)
            found += page["task_instances"]
            if len(found) >= page["total_entries"]:
                return found

    def _cpu(self) -> float:
        """CPU seconds that ended and living task processes have used; they are the scheduler's grandchildren."""
        scheduler = psutil.Process(self.stack.supervisor["scheduler"].pid)
        total = 0.0
        for process in scheduler.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
        return total


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _seconds(since: datetime, until: str) -> float:
    return (_instant(until) - since).total_seconds()


@contextlib.contextmanager
def airflow(folder: Path, expanded: int) -> Iterator[Scheduled]:
    """Airflow as `make run` starts it, with the yardsticks beside the DAG."""
    dags = folder / "dags"
    dags.mkdir()
    for source in (*(ROOT / "dags").glob("*.py"), *(ROOT / "benchmarks" / "dags").glob("*.py")):
        shutil.copy(source, dags)
    # tasks import the benchmarks' people from the project
    layout = Layout(run_dir=folder / "run", dags=dags)
    environment = {
        "O2O_BENCH_EXPANDED": str(expanded),
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3",
        "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("include", "plugins", "")),
    }
    with Stack(StackConfig(layout, Ports(0, 0, 0), environment), Reporter(Console(quiet=True))) as stack:
        for dag in (DAG, "empty_task", "expanded_calls"):
            _until(lambda dag=dag: stack.api.schedule(dag) is not None)  # type: ignore[misc]
            if dag != DAG:
                stack.api.unpause(dag)
        yield Scheduled(stack)


def _until(true: Callable[[], bool], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            raise RuntimeError(f"Airflow did not get there within {seconds:.0f} s")
        time.sleep(0.2)


def idle(scheduled: Scheduled, times: int) -> dict[str, list[Run]]:
    """Runs with nobody new beside runs of one empty task, in turns."""
    scheduled.stack.api.unpause(DAG)
    scheduled.run(DAG)
    _quiet(scheduled)
    found: dict[str, list[Run]] = {DAG: [], "empty_task": []}
    for _ in range(times):
        for dag, runs in found.items():
            runs.append(scheduled.run(dag))
    return found


def _quiet(scheduled: Scheduled) -> None:
    _until(lambda: not scheduled.stack.api.active_runs(DAG))


def triggered(scheduled: Scheduled, people: int = 20) -> tuple[float, Run]:
    """Seconds from the row's commit in HR to the first and last mail of a triggered run, and the run."""
    _quiet(scheduled)
    committed = _hire(scheduled, people)
    run = scheduled.run(DAG)
    return _last_mail(scheduled) - committed, run


def by_schedule(scheduled: Scheduled, people: int = 20) -> float:
    """Seconds from the row's commit to the last mail, by the schedule alone."""
    _quiet(scheduled)
    before = _mails(scheduled)
    committed = _hire(scheduled, people)
    _until(lambda: _mails(scheduled) > before, 400)
    _quiet(scheduled)
    return _last_mail(scheduled) - committed


def _hire(scheduled: Scheduled, people: int) -> float:
    Warehouse(scheduled.stack.warehouse_url).add(people)
    return time.time()


def _mails(scheduled: Scheduled) -> int:
    return int(call("GET", f"{scheduled.stack.simulator_url}/simulator/summary")["mails"])


def _last_mail(scheduled: Scheduled) -> float:
    engine = sa.create_engine(scheduled.stack.ledger_url)
    with engine.connect() as connection:
        last = connection.scalar(sa.text("select extract(epoch from max(closed_at)) from o2o.attempt"))
    engine.dispose()
    return float(last)


def expanded(scheduled: Scheduled, people: int) -> float:
    """Calls per second of one mapped `HttpOperator` task per person."""
    run = scheduled.run("expanded_calls")
    spans = [span for name, span in run.tasks.items() if name.startswith("post")]
    if len(spans) != people:
        raise RuntimeError(f"{len(spans)} of {people} calls succeeded")
    return people / (max(end for _, end in spans) - min(start for start, _ in spans))


def parsing(scheduled: Scheduled, times: int) -> dict[str, float]:
    """Median seconds that Airflow's own DAG processor takes for the DAG's file and for an empty one."""
    found: dict[str, dict[str, float]] = {DAG: {}, "empty_task": {}}
    until = time.monotonic() + 30 * times
    while min(map(len, found.values())) < times and time.monotonic() < until:
        for dag, seconds in found.items():
            details = scheduled.stack.api.call("GET", f"/dags/{dag}/details")
            seconds[details["last_parsed_time"]] = details["last_parse_duration"]
        time.sleep(1)
    return {dag: statistics.median(seconds.values()) for dag, seconds in found.items()}


def summary(runs: dict[str, list[Run]]) -> dict[str, Any]:
    """Medians by DAG."""
    return {
        dag: {
            "cpu": statistics.median(run.cpu for run in found),
            "wall": statistics.median(run.wall for run in found),
        }
        for dag, found in runs.items()
    }
