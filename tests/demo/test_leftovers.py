"""Starting again: what stands is used, what a killed supervisor left is stopped, and strangers are left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from demo import state
from demo.errors import AlreadyRunning, DemoError
from demo.layout import PROJECT, Layout, Ports
from demo.postgres import PostgresServer
from demo.processes import Command, ManagedProcess
from demo.stack import Stack, StackConfig
from demo.state import StackLock, StackState
from demo.warehouse import Filled

# a child, and a grandchild in a process group of its own, as Airflow's tasks are
FAMILY = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import os, time; os.setpgid(0, 0); time.sleep(60)"])
time.sleep(60)
"""
HOLDER = """
import sys, time
from pathlib import Path
from demo.state import StackLock
lock = StackLock(Path(sys.argv[1]))
lock.acquire()
print("ready", flush=True)
time.sleep(60)
"""
SUPERVISOR = """
import sys, time
from pathlib import Path
from tests.demo.test_leftovers import WithoutAirflow, config
stack = WithoutAirflow(config(Path(sys.argv[1])))
stack.start()
print("started", flush=True)
time.sleep(60)
"""


class WithoutAirflow(Stack):
    """PostgreSQL and what is in it; Airflow takes twenty seconds."""

    filled = Filled()

    def _start_airflow_and_the_rest(self) -> None:
        self.filled = self._fill_databases()


def config(run_dir: Path) -> StackConfig:
    return StackConfig(Layout(run_dir=run_dir), Ports(0, 0, 0), fsync=False)


def sleeper(folder: Path, program: str = FAMILY, size: int = 2) -> ManagedProcess:
    made = ManagedProcess(Command("sleeper", (sys.executable, "-c", program), folder / "sleeper.log"))
    made.start()
    deadline = time.monotonic() + 20
    while len(made.record.family()) < size and time.monotonic() < deadline:
        time.sleep(0.05)
    return made


def test_what_a_killed_supervisor_left_is_stopped_with_all_it_started(layout: Layout) -> None:
    """Named by its record; the second time there is nothing left to stop."""
    process = sleeper(layout.run_dir)
    try:
        family = process.record.family()
        assert len(family) == 2
        StackState(1, Ports(), [process.record]).write(layout.state_file)
        assert state.stop_leftovers(layout, timeout=0.5) == ["sleeper"]
        assert not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in family)
        assert not layout.state_file.exists()
        assert state.stop_leftovers(layout) == []
    finally:
        process.kill()


def test_a_stranger_with_the_number_of_an_old_process_is_left_alone(layout: Layout) -> None:
    """Numbers are given out again, so that the time of birth counts as well."""
    process = sleeper(layout.run_dir)
    try:
        # of a process that was born after this one, and so is another
        record = replace(process.record, created=time.time() + 60)
        StackState(1, Ports(), [record]).write(layout.state_file)
        assert state.stop_leftovers(layout) == []
        assert process.alive
    finally:
        process.kill()


def test_stop_asks_the_supervisor_and_then_ends_what_it_left(layout: Layout) -> None:
    """A supervisor that goes without its processes."""
    process = sleeper(layout.run_dir, "import time; time.sleep(60)", size=1)
    supervisor = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(layout.lock_file)],
        env=os.environ | {"PYTHONPATH": str(PROJECT / "include")},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == "ready\n"
        StackState(supervisor.pid, Ports(), [process.record]).write(layout.state_file)
        assert state.stop(layout)
        assert supervisor.wait(10) == -signal.SIGTERM
        assert not process.alive
        assert not state.is_running(layout)
    finally:
        supervisor.kill()
        supervisor.communicate()
        process.kill()


def test_a_supervisor_that_ends_while_it_is_asked_to_is_no_error(layout: Layout) -> None:
    """Two people stop it at once."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    lock = StackLock(layout.lock_file)
    assert lock.acquire()
    StackState(ended.pid, Ports(), []).write(layout.state_file)
    threading.Timer(0.3, lock.release).start()
    assert state.stop(layout)


@pytest.mark.integration
def test_a_second_start_uses_what_stands(layout: Layout) -> None:
    """Password, databases and people; while the first one runs, there is no second."""
    first = WithoutAirflow(config(layout.run_dir))
    with first:
        assert first.filled.people > 0
        secrets, url = first.secrets, first.warehouse_url
        with pytest.raises(AlreadyRunning):
            WithoutAirflow(config(layout.run_dir)).start()
    assert not state.is_running(layout)
    second = WithoutAirflow(config(layout.run_dir))
    with second:
        assert second.secrets == secrets
        assert second.filled.people == 0
        assert second.warehouse_url.split(":")[:2] == url.split(":")[:2]
    layout.secrets_file.unlink()
    third = WithoutAirflow(config(layout.run_dir))
    with pytest.raises(DemoError, match=r"another password than the one in secrets\.json.*`make clean`"):
        third.start()
    assert state.stop_leftovers(layout) == []
    PostgresServer(layout.postgres, password="-").destroy()


@pytest.mark.integration
def test_a_start_after_a_kill_stops_the_old_postgresql_first(
    layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two servers on one directory would be the end of it; the people are still there."""
    killed = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(layout.run_dir)],
        env=os.environ | {"PYTHONPATH": f"{PROJECT / 'include'}:{PROJECT}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert killed.stdout is not None
    try:
        while (line := killed.stdout.readline()) not in ("started\n", ""):
            pass
        assert line == "started\n"
        found = StackState.read(layout.state_file)
        assert found is not None
        (old,) = found.processes
    finally:
        killed.kill()
        killed.communicate()
    assert old.alive
    with WithoutAirflow(config(layout.run_dir)) as stack:
        assert not old.alive
        assert isinstance(stack, WithoutAirflow)
        assert stack.filled.people == 0
    assert "Stopped what an earlier run left behind: postgres." in capsys.readouterr().out
    PostgresServer(layout.postgres, password="-").destroy()
