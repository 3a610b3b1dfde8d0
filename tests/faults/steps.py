"""The DAG's tasks as processes that can be killed: the very functions and operators that Airflow runs.

A fork server imports Airflow, pandas and Great Expectations once, and each task is a fork of it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

STEPS = ("extract", "check", "build", "approve", "post", "load")
DEFAULT_PARAMS = {
    "since": None,
    "until": None,
    "employee_ids": [],
    "action": None,
    "why": None,
    "dry_run": False,
    "max_people": None,
    "max_bad_share": None,
}


class Exit(IntEnum):
    """How a task ended; negative numbers are signals."""

    SUCCESS = 0
    FAILED = 1
    DEFERRED = 2
    SKIPPED = 3


@dataclass(frozen=True)
class Task:
    """One try of one task of one run; `point` names where it kills itself, at its `nth` arrival there.

    `resumes`: its `post` comes back after a deferral.
    """

    step: str
    run_id: str
    kind: str = "scheduled"
    interval: tuple[datetime, datetime] | None = None
    run_after: datetime = field(default_factory=lambda: datetime.now(UTC))
    params: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    log: str = os.devnull
    point: str | None = None
    nth: int = 1
    sabotage: str | None = None
    user: str | None = None
    resumes: bool = False


def start(task: Task) -> BaseProcess:
    """The task in a process of its own, running."""
    process = _server().Process(target=_main, args=(task,), daemon=True)
    process.start()
    return process


def finish(process: BaseProcess, seconds: float = 120) -> int:
    """Its exit code. Raises TimeoutError, and then it is killed: nothing in the pipeline may hang."""
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(f"a task hung for {seconds:.0f} s")
    return process.exitcode


def kill_at_random(process: BaseProcess, within: float, dice: random.Random) -> bool:
    """SIGKILL at a random moment within so many seconds; False when it was quicker."""
    process.join(dice.uniform(0, within))
    if process.exitcode is not None:
        return False
    process.kill()
    process.join()
    return True


_context: Any = None


def _server() -> Any:
    global _context
    if _context is None:
        # tasks that are killed leave semaphores behind, and the tracker removes them
        os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker:UserWarning")
        _context = multiprocessing.get_context("forkserver")
        _context.set_forkserver_preload(["tests.faults.preload"])
        # the imports take seconds, which are no task's
        first = _context.Process(target=int)
        first.start()
        first.join()
    return _context


def _main(task: Task) -> None:
    output = os.open(task.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(task.environment)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    from airflow.sdk.exceptions import AirflowException, TaskDeferred

    from tests.faults import points
    from tests.faults.sabotage import SABOTAGES

    if task.sabotage is not None:
        SABOTAGES[task.sabotage].apply()
    code = Exit.SUCCESS
    try:
        with points.armed(task.point, task.nth), _running(task):
            if _run(task) is None and task.step == "extract":
                code = Exit.SKIPPED
    except TaskDeferred:
        code = Exit.DEFERRED
    except AirflowException as error:
        logging.error("the task failed: %s", error)
        code = Exit.FAILED
    sys.stderr.flush()
    # no exit handlers: they belong to the fork server
    os._exit(code)


@contextlib.contextmanager
def _running(task: Task) -> Iterator[None]:
    from airflow.sdk.execution_time.context import set_current_context

    with set_current_context(context_of(task)):
        logging.info("== %s of %s", task.step, task.run_id)
        started = time.monotonic()
        yield
        logging.info("== %.2f s", time.monotonic() - started)


def context_of(task: Task) -> Any:
    """What Airflow would tell the task about its run."""
    start_, end = task.interval or (None, None)
    return {
        "params": {**DEFAULT_PARAMS, **task.params},
        "dag_run": SimpleNamespace(
            run_id=task.run_id,
            run_type=task.kind,
            data_interval_start=start_,
            data_interval_end=end,
            run_after=task.run_after,
            triggering_user_name=task.user,
        ),
    }


def _run(task: Task) -> Any:
    import o2o_tasks
    from airflow.sdk import get_current_context
    from airflow.sdk.execution_time.context import OutletEventAccessors
    from o2o_approval import ApproveLargeBatchOperator
    from o2o_operator import O2OUserCreateOperator

    if task.step == "extract":
        return o2o_tasks.extract_interested_employees()
    if task.step == "check":
        return o2o_tasks.check_quality()
    if task.step == "build":
        return o2o_tasks.build_payloads()
    if task.step == "load":
        return o2o_tasks.load_audit(OutletEventAccessors())
    operator = {"approve": ApproveLargeBatchOperator, "post": O2OUserCreateOperator}[task.step]
    made = operator(task_id=task.step)
    return (made.resume if task.resumes and task.step == "post" else made.execute)(get_current_context())


def environment(ledger_url: str, simulator_url: str, token: str, config: Path, home: Path) -> dict[str, str]:
    """The three connections and the settings, as a deployment gives them to Airflow. The warehouse is beside the
    ledger."""
    import sqlalchemy as sa

    url = sa.make_url(ledger_url)
    database = json.dumps(
        {
            "conn_type": "postgres",
            "host": url.host,
            "port": url.port,
            "login": url.username,
            "password": url.password,
            "schema": url.database,
        }
    )
    host, port = simulator_url.removeprefix("http://").split(":")
    api = {"conn_type": "http", "schema": "http", "host": host, "port": int(port), "password": token}
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW_CONN_HR_WAREHOUSE": database,
        "AIRFLOW_CONN_O2O_LEDGER": database,
        "AIRFLOW_CONN_O2O_API": json.dumps(api),
        "O2O_CONFIG_DIR": str(config),
    }
