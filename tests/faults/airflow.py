"""A real Airflow under fire: its scheduler, its task processes and their supervisors, killed while runs go on."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

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


def kill_task(stack: Stack) -> bool:
    """The process in which a task runs."""
    tasks = _tasks(stack)
    return bool(tasks) and _kill(tasks[-1])


def kill_supervisor(stack: Stack) -> bool:
    """The executor's process that watches over a task; the task is an orphan then."""
    parents = [parent for task in _tasks(stack) if (parent := task.parent())]
    return bool(parents) and _kill(parents[-1])


def kill_scheduler(stack: Stack) -> bool:
    """The scheduler alone, so that its tasks go on without it; then another is started."""
    process = stack.supervisor["scheduler"]
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    time.sleep(1)
    process.kill()
    process.start()
    return True


def _tasks(stack: Stack) -> list[psutil.Process]:
    """Children of the executor's workers, which are children of the scheduler; the youngest last."""
    with contextlib.suppress(psutil.NoSuchProcess):
        workers = psutil.Process(stack.supervisor["scheduler"].pid).children()
        return sorted((task for worker in workers for task in worker.children()), key=psutil.Process.create_time)
    return []


def _kill(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()
        return True
    return False


VICTIMS: dict[str, Callable[[Stack], bool]] = {
    "task": kill_task,
    "task's supervisor": kill_supervisor,
    "scheduler": kill_scheduler,
}


def under_fire(world: World, times: int) -> int:
    """Each victim so often, in an Airflow of its own."""
    with airflow(world) as stack:
        hit = strikes(world, stack, times)
    world.drain()
    return hit


def strikes(world: World, stack: Stack, times: int) -> int:
    """At random moments of a run; then the run is failed, as somebody on call would."""
    hit = 0
    for _ in range(times):
        for strike in VICTIMS.values():
            world.hire(world.dice.randint(8, 20))
            run = stack.api.trigger(DAG)
            time.sleep(world.dice.uniform(2, 10))
            hit += stack.api.run_state(DAG, run) not in ENDED and strike(stack)
            end_all(stack)
    for _ in range(6):
        end_all(stack)
        world.pass_time(1000)
        wait(stack, stack.api.trigger(DAG))
        if not world.ids("pending") and not world.ids("claimed"):
            break
    end_all(stack)
    return hit


def end_all(stack: Stack) -> None:
    """No run is active and no task's process is left."""
    for run in stack.api.active_runs(DAG):
        stack.api.call("PATCH", f"/dags/{DAG}/dagRuns/{run}", {"state": "failed"})
    deadline = time.monotonic() + 30
    while _tasks(stack) and time.monotonic() < deadline:
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
