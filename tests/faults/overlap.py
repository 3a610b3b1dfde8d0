"""Runs that overlap, and runs that do not come at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.faults import steps
from tests.faults.steps import STEPS, Exit, Task
from tests.faults.world import World


def parallel(world: World, rounds: int, people: int) -> int:
    """A scheduled run, two backfills of overlapping intervals, a manual run, and one that is cleared while its first
    process lives on: six processes for each step, side by side. Returns the runs."""
    for _ in range(rounds):
        world.hire(people)
        now = datetime.now(UTC) + timedelta(seconds=1)
        minutes = timedelta(minutes=1)
        scheduled = world.new_run(interval=(now - 5 * minutes, now))
        runs = [
            scheduled,
            scheduled,
            world.new_run("backfill", interval=(now - 10 * minutes, now)),
            world.new_run("backfill", interval=(now - 7 * minutes, now)),
            world.new_run("manual"),
            world.new_run("manual", params={"since": (now - 9 * minutes).isoformat()}),
        ]
        _abreast(runs)
        world.pass_time(300)
    world.drain()
    return rounds * 6


def _abreast(runs: list[Task]) -> None:
    alive = runs
    for step in STEPS:
        started = [(run, steps.start(replace(run, step=step))) for run in alive]
        ended = [(run, steps.finish(process)) for run, process in started]
        alive = [run for run, code in ended if code == Exit.SUCCESS]


def gaps(world: World) -> int:
    """Rows that come hours late, a run that fails half-way, three days without Airflow. Returns the disturbances."""
    world.hire(10)
    world.run()
    world.pass_time(300)
    world.hire(10, changed=timedelta(hours=20))
    world.run()
    world.hire(10)
    failed = world.new_run()
    for step in STEPS[:2]:
        steps.finish(steps.start(replace(failed, step=step)))
    world.pass_time(300)
    world.run()
    world.hire(10)
    world.pass_time(3 * 24 * 3600)
    world.hire(10)
    world.drain()
    return 3


def clock_jumps(world: World) -> int:
    """Airflow's clock runs hours ahead for some runs, and then is put back."""
    for hours in (3, -3, 12, 0):
        world.hire(10)
        world.run(world.new_run(run_after=datetime.now(UTC) + timedelta(hours=hours, seconds=1)))
        world.pass_time(300)
    world.drain()
    return 4
