"""SIGKILL of the task's process, in each stage and at each point of the post, then a retry or the next run."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.process import BaseProcess

import sqlalchemy as sa
from o2o_registration.delivery import STALE_INTENT_SECONDS

from tests.faults import steps
from tests.faults.points import POST_POINTS
from tests.faults.steps import STEPS, Exit, Task
from tests.faults.world import World

PEOPLE = (6, 18)
"""How many more are hired before each kill."""


def clocked(world: World, stage: str, kills: int) -> int:
    """Kill `stage` at random moments. Returns the kills that hit."""
    return _until(world, kills, lambda task: _by_clock(world, task, stage))


def pointed(world: World, point: str, kills: int) -> int:
    """Kill the post at an exact point."""
    assert point in POST_POINTS
    return _until(world, kills, lambda task: _by_point(world, task, point))


def frozen(world: World, times: int) -> int:
    """A post that stands still (a paused machine) until another run has given its calls up, and then goes on."""
    world.simulator.add_fault("latency", share=1, seconds=0.3)
    hit = 0
    for _ in range(times):
        # the timeouts of a process that stood still open the circuit breaker
        world.pass_time(300)
        world.hire(60)
        task = world.new_run()
        if not _lead_up(task, "post"):
            continue
        before = len(world.simulator.calls)
        process = steps.start(replace(task, step="post"))
        while len(world.simulator.calls) == before and process.exitcode is None:
            time.sleep(0.01)
        time.sleep(world.dice.uniform(0, 0.8))
        hit += _freeze(world, process)
        steps.finish(process)
        world.run(task, first="load")
    world.drain()
    return hit


def _freeze(world: World, process: BaseProcess) -> bool:
    if process.exitcode is not None or process.pid is None:
        return False
    os.kill(process.pid, signal.SIGSTOP)
    # what the engine itself measures by its clock cannot be moved by moving dates
    time.sleep(STALE_INTENT_SECONDS + 0.5)
    # a process that stands still within a transaction keeps its locks; then only those seconds go by
    with contextlib.suppress(sa.exc.OperationalError):
        world.pass_time(1000)
        world.run()
    os.kill(process.pid, signal.SIGCONT)
    return True


def _until(world: World, kills: int, disturb: Callable[[Task], str | None]) -> int:
    # twice: the first run of all makes Airflow's home, which takes seconds that no other takes
    for _ in range(2):
        world.hire(world.dice.randint(*PEOPLE))
        world.run()
    hit = tries = 0
    while hit < kills and tries < 4 * kills + 8:
        tries += 1
        world.hire(world.dice.randint(*PEOPLE))
        task = world.new_run()
        struck = disturb(task)
        if struck is None:
            continue
        hit += 1
        # Airflow's retry takes up the same task; where the run was given up, the next one finds everything
        if world.dice.random() < 0.5:
            world.run(task, first=struck)
        if world.dice.random() < 0.5:
            world.pass_time(world.dice.choice((5, 70, 400, 1000)))
    world.drain()
    return hit


def _by_clock(world: World, task: Task, stage: str) -> str | None:
    if not _lead_up(task, stage):
        return None
    process = steps.start(replace(task, step=stage))
    if steps.kill_at_random(process, 1.1 * world.seconds[stage], world.dice):
        return stage
    _rest(world, task, stage)
    return None


def _by_point(world: World, task: Task, point: str) -> str | None:
    if not _lead_up(task, "post"):
        return None
    nth = world.dice.randint(1, 6 if point == "in flight" else 2)
    code = steps.finish(steps.start(replace(task, step="post", point=point, nth=nth)))
    if code < 0:
        return "post"
    _rest(world, task, "post")
    return None


def _lead_up(task: Task, stage: str) -> bool:
    for step in STEPS[: STEPS.index(stage)]:
        if steps.finish(steps.start(replace(task, step=step))) != Exit.SUCCESS:
            return False
    return True


def _rest(world: World, task: Task, stage: str) -> None:
    if stage != STEPS[-1]:
        world.run(task, first=STEPS[STEPS.index(stage) + 1])
