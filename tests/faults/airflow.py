"""A real Airflow under fire: its scheduler, its task processes and their supervisors, killed while runs go on."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import psutil
from demo.console import Reporter
from demo.layout import Layout, Ports
from demo.stack import Stack, StackConfig
from demo.web import HttpError
from rich.console import Console

from tests.faults.world import World

DAG = "o2o_register_interested_employees"
ENDED = ("success", "failed")


@contextlib.contextmanager
def airflow(world: World) -> Iterator[Stack]:
    """Airflow as `make run` starts it, over this world's warehouse, ledger and simulator."""
    names = {
        name: value
        for name, value in world.environment.items()
        if name.startswith(("AIRFLOW_CONN", "AIRFLOW__", "OTEL", "O2O"))
    }
    run_dir = Path(world.folder) / "stack"
    config = StackConfig(Layout(run_dir=run_dir), Ports(0, 0, 0), environment=names, fsync=False)
    with Stack(config, Reporter(Console(quiet=True))) as stack:
        while stack.api.schedule(DAG) is None:
            time.sleep(0.5)
        stack.api.call("PATCH", f"/dags/{DAG}?update_mask=is_paused", {"is_paused": False})
        yield stack


def kill_task(_stack: Stack, task: psutil.Process) -> bool:
    """The process in which a task runs."""
    return _kill(task)


def kill_supervisor(_stack: Stack, task: psutil.Process) -> bool:
    """The executor's process that watches over a task; the task is an orphan then."""
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = task.parent()
        return parent is not None and _kill(parent)
    return False


def kill_scheduler(stack: Stack, _task: psutil.Process) -> bool:
    """The scheduler alone, so that its tasks go on without it; then another is started."""
    process = stack.supervisor["scheduler"]
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    time.sleep(1)
    process.kill()
    process.start()
    return True


def running_tasks(stack: Stack) -> list[psutil.Process]:
    """Children of the executor's workers, which are children of the scheduler."""
    with contextlib.suppress(psutil.NoSuchProcess):
        workers = psutil.Process(stack.supervisor["scheduler"].pid).children()
        return [task for worker in workers for task in worker.children() if _lives(task)]
    return []


def _lives(process: psutil.Process) -> bool:
    """A task that has ended may be a zombie for seconds before its supervisor looks."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _kill(process: psutil.Process) -> bool:
    if not _lives(process):
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()
        return True
    return False


VICTIMS: dict[str, Callable[[Stack, psutil.Process], bool]] = {
    "task": kill_task,
    "task's supervisor": kill_supervisor,
    "scheduler": kill_scheduler,
}
TRIES = 4
"""A run whose people another run took, or whose last task was the quicker, is followed by another."""

TASKS_TO_MEET = 5
"""Of the six tasks of a run, the last is left for a strike that came too late for the one before."""

MOMENT = 0.6
"""Seconds in which most tasks end."""


def under_fire(world: World, times: int) -> int:
    """Each victim so often, in an Airflow of its own."""
    with airflow(world) as stack:
        hit = strikes(world, stack, times)
    world.drain()
    return hit


def strikes(world: World, stack: Stack, times: int) -> int:
    """Each victim so often; then the run is failed, as somebody on call would. Returns the strikes that hit."""
    hit = 0
    for _ in range(times):
        for strike in VICTIMS.values():
            hit += any(_strike(world, stack, strike) for _ in range(TRIES))
    for _ in range(6):
        end_all(stack)
        world.pass_time(1000)
        wait(stack, stack.api.trigger(DAG))
        if not world.ids("pending") and not world.ids("claimed"):
            break
    end_all(stack)
    return hit


def _strike(world: World, stack: Stack, strike: Callable[[Stack, psutil.Process], bool]) -> bool:
    world.hire(world.dice.randint(8, 20))
    task = _meet(world, stack, stack.api.trigger(DAG))
    hit = task is not None and strike(stack, task)
    end_all(stack)
    return hit


def _meet(world: World, stack: Stack, run: str, seconds: float = 180) -> psutil.Process | None:
    """The process of a random task at a random moment, or of the next one. None when the run ended before."""
    nth, moment = world.dice.randint(1, TASKS_TO_MEET), world.dice.uniform(0, MOMENT)
    deadline = time.monotonic() + seconds
    while _state(stack, run) not in ENDED:
        pids = _pids(stack, run)
        living = [process for process in running_tasks(stack) if process.pid in pids]
        if len(pids) < nth or not living:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the run {run} had no task to strike within {seconds:.0f} s")
            time.sleep(0.05)
        elif moment:
            time.sleep(moment)
            moment = 0.0
        else:
            return living[-1]
    return None


def _pids(stack: Stack, run: str) -> set[int]:
    """Of the run's tasks that have begun."""
    path = f"/dags/{DAG}/dagRuns/{quote(run, safe='')}/taskInstances?limit=100"
    try:
        return {task["pid"] for task in stack.api.call("GET", path)["task_instances"]} - {None}
    except HttpError as error:
        # a busy machine may answer too late
        if error.status:
            raise
        return set()


def end_all(stack: Stack) -> None:
    """No run is active and no task's process is left."""
    for run in stack.api.active_runs(DAG):
        stack.api.call("PATCH", f"/dags/{DAG}/dagRuns/{run}", {"state": "failed"})
    deadline = time.monotonic() + 30
    while running_tasks(stack) and time.monotonic() < deadline:
        time.sleep(0.2)


def wait(stack: Stack, run: str, seconds: float = 180) -> str:
    """The state in which the run ended. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while (state := _state(stack, run)) not in ENDED:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the run {run} is {state} after {seconds:.0f} s")
        time.sleep(0.5)
    return state


def _state(stack: Stack, run: str) -> str:
    try:
        return stack.api.run_state(DAG, run)
    except HttpError as error:
        # a busy machine may answer too late
        if error.status:
            raise
        return "unknown"
