"""SIGKILL of the task's process, in each stage and at each point of the post, then a retry or the next run."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace

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
    world.hire(10)
    world.run()
    hit = 0
    for _ in range(times):
        world.hire(40)
        task = world.new_run()
        if not _lead_up(task, "post"):
            continue
        process = steps.start(replace(task, step="post"))
        time.sleep(world.dice.uniform(0.1, world.seconds["post"]))
        if process.exitcode is None and process.pid:
            hit += 1
            os.kill(process.pid, signal.SIGSTOP)
            # what the engine itself measures by its clock cannot be moved by moving dates
            time.sleep(STALE_INTENT_SECONDS + 0.5)
            world.pass_time(1000)
            world.run()
            os.kill(process.pid, signal.SIGCONT)
        steps.finish(process)
        world.run(task, first="load")
    world.drain()
    return hit


def _until(world: World, kills: int, disturb: Callable[[Task], str | None]) -> int:
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
