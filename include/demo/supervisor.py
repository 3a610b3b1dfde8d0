"""Keeps a set of processes alive, and ends it in order."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

from demo.errors import ProcessDied
from demo.processes import Command, ManagedProcess, Record, StopSignal, death_notice

MAX_RESTARTS = 3
RESTART_WINDOW_SECONDS = 300.0


class Supervisor:
    """Starts commands, restarts the ones that die, stops the rest in the reverse order of their stages.

    `on_change` gets the records whenever a process was started, so that another program can stop them.
    """

    def __init__(self, on_change: Callable[[Sequence[Record]], None] = lambda _records: None) -> None:
        self._stages: list[list[ManagedProcess]] = []
        self._deaths: dict[str, deque[float]] = {}
        self._on_change = on_change

    @property
    def processes(self) -> list[ManagedProcess]:
        return [process for stage in self._stages for process in stage]

    def __getitem__(self, name: str) -> ManagedProcess:
        return next(process for process in self.processes if process.name == name)

    def start(self, *commands: Command) -> None:
        """Start the processes of one stage. They are stopped together, after those of later stages."""
        self.adopt(*(ManagedProcess(command) for command in commands))

    def adopt(self, *processes: ManagedProcess, start: Callable[[], object] | None = None) -> None:
        """Like `start`, for processes made elsewhere; `start` replaces their own way of starting."""
        stage: list[ManagedProcess] = []
        self._stages.append(stage)
        for process in processes:
            # Into the list first: whatever happens from here on, stop() knows of it.
            stage.append(process)
            (start or process.start)()
        self.publish()

    def release(self, process: ManagedProcess) -> None:
        """Forget a process that was meant to end."""
        self._stages = [[other for other in stage if other is not process] for stage in self._stages]
        self.publish()

    def publish(self) -> None:
        self._on_change([process.record for process in self.processes if process.pid])

    def check(self) -> list[str]:
        """Restart what died; one notice per death. Raises ProcessDied when one keeps dying."""
        notices = []
        for process in self.processes:
            if process.alive:
                continue
            notice = death_notice(process)
            if self._too_often(process.name):
                raise ProcessDied(f"{notice}\n{process.name} died {MAX_RESTARTS + 1} times in a short time: giving up.")
            process.kill()  # what it started must not outlive it and hold its ports
            process.start()
            notices.append(f"{notice}\n{process.name} was started again.")
        if notices:
            self.publish()
        return notices

    def _too_often(self, name: str) -> bool:
        deaths = self._deaths.setdefault(name, deque(maxlen=MAX_RESTARTS + 1))
        deaths.append(time.monotonic())
        return len(deaths) > MAX_RESTARTS and deaths[-1] - deaths[0] < RESTART_WINDOW_SECONDS

    def watch(self, stop: StopSignal, say: Callable[[str], None]) -> None:
        """Supervise until somebody asks to stop (StopRequested) or a process keeps dying (ProcessDied)."""
        while True:
            for notice in self.check():
                say(notice)
            stop.pause(1.0)

    def stop(self, timeout: float = 10.0) -> None:
        """Last stage first; the processes of one stage end at the same time. `timeout` is per stage."""
        for stage in reversed(self._stages):
            deadline = time.monotonic() + timeout
            for process in stage:
                process.ask_to_stop()
            for process in stage:
                process.finish(deadline - time.monotonic())
        self._stages.clear()
