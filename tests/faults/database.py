"""PostgreSQL dies, is restarted, cuts connections, is locked by a stranger, runs out of disk."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import sqlalchemy as sa
from demo.processes import ManagedProcess, identity

from tests.faults import steps
from tests.faults.steps import STEPS, Exit
from tests.faults.world import World

Disturb = Callable[[World], None]


def kill(world: World) -> None:
    """SIGKILL to all of the server, and a start with recovery."""
    world.postgres.kill()
    time.sleep(world.dice.uniform(0, 1.5))
    world.postgres.start()


def restart(world: World) -> None:
    """As an administrator does it."""
    world.postgres.restart()


def cut(world: World) -> None:
    """Every session of the pipeline ends, as by a firewall or a failover."""
    with world.engine.begin() as connection:
        connection.execute(
            sa.text("""
                select pg_terminate_backend(pid) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid()
            """)
        )


def no_room_for_wal(world: World) -> None:
    """Not even the server's own log can be written: it gives up, and is started when there is room again."""
    with _no_more_than(world, 2**20):
        cut(world)
        time.sleep(1)
    if not world.postgres.process.alive:
        world.postgres.kill()
        world.postgres.start()
    world.postgres.restart()


def disturbed(world: World, disturb: Disturb, times: int) -> int:
    """Strike at a random moment of a random task; then its retry. Returns the strikes that met a running task."""
    world.hire(10)
    world.run()
    hit = 0
    while hit < times:
        world.hire(world.dice.randint(10, 30))
        task = world.new_run()
        victim = world.dice.choice((*STEPS, "post", "post"))
        for step in STEPS:
            process = steps.start(replace(task, step=step))
            if step == victim:
                time.sleep(world.dice.uniform(0, world.seconds[step]))
                hit += process.exitcode is None
                disturb(world)
            if (code := steps.finish(process)) != Exit.SUCCESS:
                break
        if code == Exit.FAILED:
            world.run(task, first=step)
        world.pass_time(world.dice.choice((5, 400)))
    world.drain()
    return hit


def locked(world: World, times: int) -> int:
    """A stranger holds a lock on the ledger for longer than we wait: the task fails, its retry does the work."""
    for _ in range(times):
        world.hire(10)
        task = world.new_run()
        with world.engine.begin() as stranger:
            stranger.execute(sa.text("lock table o2o.registration"))
            code = world.run(task)
        assert code == Exit.FAILED
        world.run(task)
    world.drain()
    return times


def full(world: World, times: int) -> int:
    """Writes fail: files cannot grow past a limit that the server's process is given while it runs.

    This is what a full disk does to a table, and needs neither a file system of its own nor root.
    """
    for _ in range(times):
        world.hire(10)
        world.run()
        ids = world.hire(90_000)
        task = world.new_run()
        with _no_more_than(world, 17 * 2**20):
            code = world.run(task)
        assert code == Exit.FAILED
        _withdraw(world, ids[100:])
        world.pass_time(300)
        world.run()
    world.drain()
    return times


def _withdraw(world: World, ids: list[str]) -> None:
    """They were there to fill the disk, not to be called one by one."""
    with world.engine.begin() as connection:
        connection.execute(sa.text("delete from hr.employee where employee_id = any(:ids)"), {"ids": ids})
    world.expected.difference_update(ids)


@contextlib.contextmanager
def _no_more_than(world: World, size: int) -> Iterator[None]:
    """Backends that start within the block cannot write beyond `size` bytes of any file."""
    process = world.postgres.process
    _limit(process, str(size))
    try:
        yield
    finally:
        if process.alive:
            _limit(process, "unlimited")


def _limit(process: ManagedProcess, size: str) -> None:
    # as the server's own user, who may do that to it where even root may not
    command = ["prlimit", f"--pid={process.pid}", f"--fsize={size}:"]
    subprocess.run(command, check=True, **identity(process.command.user))  # type: ignore[call-overload]
