"""What other commands need to know of a running stack: `stack.json`, and a lock that its owner holds.

The lock, not the file, says whether a stack runs: it goes with its process, however that ended.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from demo.errors import DemoError, NotRunning
from demo.layout import Layout, Ports, write_private
from demo.processes import Record


@dataclass(frozen=True)
class StackState:
    """`processes` in the order in which they were started."""

    supervisor_pid: int
    ports: Ports
    processes: Sequence[Record] = field(default_factory=list)

    def write(self, path: Path) -> None:
        write_private(path, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> StackState | None:
        try:
            raw = json.loads(path.read_text())
            return cls(
                supervisor_pid=raw["supervisor_pid"],
                ports=Ports(**raw["ports"]),
                processes=[Record(**process) for process in raw["processes"]],
            )
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            raise DemoError(f"{path} is damaged: remove it, and look for left-over processes with ps.") from None


class StackLock:
    """Held by the one process that supervises the stack of a run directory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def acquire(self) -> bool:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = open(self._path, "a")  # noqa: SIM115 - held as long as the lock
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._file = file
        return True

    def release(self) -> None:
        if self._file:
            self._file.close()
            self._file = None


def is_running(layout: Layout) -> bool:
    if not layout.lock_file.exists():
        return False
    lock = StackLock(layout.lock_file)
    acquired = lock.acquire()
    lock.release()
    return not acquired


def running(layout: Layout) -> StackState:
    """Raises NotRunning."""
    state = StackState.read(layout.state_file) if is_running(layout) else None
    if state is None:
        raise NotRunning("Nothing is running. `make run` starts it.")
    return state


def stop_leftovers(layout: Layout, timeout: float = 10.0) -> list[str]:
    """End what a supervisor left behind that was killed itself. Returns the names."""
    state = StackState.read(layout.state_file)
    if state is None:
        return []
    names = []
    for record in reversed(state.processes):
        if record.family():
            names.append(record.name)
            record.stop(timeout)
    layout.state_file.unlink(missing_ok=True)
    return names


def stop(layout: Layout, timeout: float = 40.0) -> bool:
    """Ask the running stack to stop, wait, and leave nothing. False when there was nothing to stop."""
    was_running = is_running(layout)
    if was_running:
        state = StackState.read(layout.state_file)
        if state is None:
            raise DemoError("It is just starting; try again in a moment.")
        _signal(state.supervisor_pid, signal.SIGTERM)
        deadline = time.monotonic() + timeout
        while is_running(layout) and time.monotonic() < deadline:
            time.sleep(0.2)
        if is_running(layout):
            _signal(state.supervisor_pid, signal.SIGKILL)
            time.sleep(0.2)
    return bool(stop_leftovers(layout)) or was_running


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it ended in this moment
        os.kill(pid, number)
