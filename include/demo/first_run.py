"""The DAG's first run: trigger it, show which task works, wait for its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from demo.console import Reporter
from demo.errors import DemoError
from demo.processes import wait_for
from demo.rest import ENDED, TaskState
from demo.stack import Stack

DAG_ID = "o2o_register_interested_employees"


@dataclass(frozen=True)
class FirstRun:
    run_id: str
    state: str
    tasks: list[TaskState]

    @property
    def good(self) -> bool:
        return self.state == "success"


def run(stack: Stack, reporter: Reporter, timeout: float = 900.0) -> FirstRun:
    """Raises DemoError when the DAG does not load or the run does not end."""
    with reporter.step("DAG") as step:
        step.update("waiting for Airflow to load it")
        _wait_for_dag(stack)
    with reporter.step("First run") as step:
        # Triggered before the DAG is unpaused: the run's window then is the first one, and holds everybody.
        run_id = stack.api.trigger(DAG_ID)
        stack.api.unpause(DAG_ID)
        state = _follow(stack, run_id, step.update, timeout)
        _let_others_end(stack, run_id)
    return FirstRun(run_id, state, stack.api.tasks(DAG_ID, run_id))


def _wait_for_dag(stack: Stack) -> None:
    api = stack.api

    def known() -> bool | None:
        if api.schedule(DAG_ID) is not None:
            return True
        errors = api.import_errors()
        if errors:
            lines = "\n".join(f"  {file}: {error}" for file, error in errors)
            raise DemoError(f"Airflow cannot load the DAG:\n{lines}")
        return None

    wait_for(known, 120, f"The DAG {DAG_ID}", stack.stop_signal, needs=stack.supervisor.processes)


def _follow(stack: Stack, run_id: str, say: Callable[[str], None], timeout: float) -> str:
    api = stack.api

    def ended() -> str | None:
        say(_at_work(api.tasks(DAG_ID, run_id)))
        stack.stop_signal.pause(0.5)
        state = api.run_state(DAG_ID, run_id)
        return state if state in ENDED else None

    return wait_for(ended, timeout, f"The run {run_id}", stack.stop_signal, needs=stack.supervisor.processes)


def _at_work(tasks: list[TaskState]) -> str:
    """One line: the tasks that are done, and the one that is at work."""
    done = sum(task.state in ("success", "skipped") for task in tasks)
    current = [f"{task.name} {_WORDS[task.state]}" for task in tasks if task.state in _WORDS]
    return f"{done}/{len(tasks)} tasks done" + "".join(f", {text}" for text in current)


_WORDS: dict[str | None, str] = {
    "queued": "waits for a worker",
    "running": "runs",
    "up_for_retry": "failed and will be tried again",
    "failed": "failed",
    "awaiting_input": "waits for an approval in the Airflow UI",
    "deferred": "waits",
}


def _let_others_end(stack: Stack, run_id: str, seconds: float = 60.0) -> None:
    """A scheduled run may have begun at the same time and taken some people: it belongs to the picture."""
    deadline = time.monotonic() + seconds
    while set(stack.api.active_runs(DAG_ID)) - {run_id} and time.monotonic() < deadline:
        stack.stop_signal.pause(0.5)


def explain_failure(first_run: FirstRun, task_logs: Path) -> str:
    lines = [f"The run {first_run.run_id} failed."]
    for task in first_run.tasks:
        if task.state == "failed":
            lines.append(f"  {task.name} failed at try {task.try_number}. Its log: {_log(first_run, task, task_logs)}")
    return "\n".join(lines)


def _log(first_run: FirstRun, task: TaskState, task_logs: Path) -> Path:
    folder = task_logs / f"dag_id={DAG_ID}" / f"run_id={first_run.run_id}" / f"task_id={task.task_id}"
    if task.map_index >= 0:
        folder /= f"map_index={task.map_index}"
    return folder / f"attempt={task.try_number}.log"
