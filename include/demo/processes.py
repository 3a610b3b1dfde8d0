"""Processes that leave nothing behind: each in a session of its own, stopped with everything it started."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TypeVar

import psutil  # type: ignore[import-untyped]

from demo.errors import DemoError, ProcessDied, StopRequested

T = TypeVar("T")


class StopSignal:
    """Ctrl-C, SIGTERM and a closed terminal, noticed where the program waits and nowhere in between.

    A handler that raised could hit between a fork and its bookkeeping, and leave an orphan.
    """

    def __init__(self) -> None:
        self._event = threading.Event()

    def install(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._event.set()

    def request(self) -> None:
        self._event.set()

    def pause(self, seconds: float) -> None:
        """Wait. Raises StopRequested as soon as somebody asks to stop."""
        if self._event.wait(seconds):
            raise StopRequested


@dataclass(frozen=True)
class Command:
    name: str
    argv: tuple[str, ...]
    log: Path
    env: Mapping[str, str] | None = field(default=None, repr=False)
    user: str | None = None
    cwd: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM


@dataclass(frozen=True)
class Record:
    """What another program needs to know to stop a process of ours."""

    name: str
    pid: int
    created: float
    stop_signal: int = signal.SIGTERM

    @property
    def alive(self) -> bool:
        return any(process.pid == self.pid for process in self.family())

    def family(self) -> list[psutil.Process]:
        """The process and all of its session, the leader gone or not. Pids are reused, hence `created`."""
        return [
            process
            for process in _of_session(self.pid)
            # One second: the clock's resolution differs between platforms.
            if process.create_time() >= self.created - 1
        ]

    def stop(self, timeout: float) -> None:
        family = self.family()
        for process in family:
            if process.pid == self.pid:
                _send(process, self.stop_signal)
        _wait_gone(family, timeout)
        _kill([*family, *self.family()])


class ManagedProcess:
    """A child process in its own session, its output in a log file."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self._popen: subprocess.Popen[bytes] | None = None
        self._family: list[psutil.Process] = []
        self._created = 0.0
        self._gone = False

    @property
    def name(self) -> str:
        return self.command.name

    @property
    def pid(self) -> int | None:
        return self._popen.pid if self._popen else None

    @property
    def returncode(self) -> int | None:
        return self._popen.poll() if self._popen else None

    @property
    def alive(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    @property
    def record(self) -> Record:
        assert self._popen is not None, f"{self.name} was not started"
        return Record(self.name, self._popen.pid, self._created, int(self.command.stop_signal))

    def start(self) -> None:
        command = self.command
        command.log.parent.mkdir(parents=True, exist_ok=True)
        with open(command.log, "ab") as log:
            self._popen = subprocess.Popen(
                command.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=None if command.env is None else dict(command.env),
                cwd=command.cwd,
                start_new_session=True,
                **identity(command.user),  # type: ignore[call-overload]
            )
        self._created = time.time()
        self._gone = False

    def ask_to_stop(self) -> None:
        if self._popen is None or not self.alive:
            return
        self._family = family(self._popen.pid)
        self._popen.send_signal(self.command.stop_signal)

    def finish(self, timeout: float) -> None:
        """Wait for the end, then make sure that nothing of it is left."""
        if self._popen is None:
            return
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(max(timeout, 0.0))
        self.kill()

    def stop(self, timeout: float = 10.0) -> None:
        self.ask_to_stop()
        self.finish(timeout)

    def kill(self) -> None:
        """SIGKILL to the process, its descendants and its session: what a crash of the machine would do."""
        if self._popen is None or self._gone:
            return
        _kill([*self._family, *family(self._popen.pid)])
        self._popen.wait(10)
        self._family = []
        # From here on the pid may belong to a stranger.
        self._gone = True

    def log_tail(self, lines: int = 15) -> str:
        return tail(self.command.log, lines)


def identity(user: str | None) -> dict[str, object]:
    """The arguments with which subprocess becomes another user, and drops root's groups."""
    return {"user": user, "group": _group(user), "extra_groups": []} if user else {}


def _group(user: str) -> int:
    import pwd  # not on every platform

    return pwd.getpwnam(user).pw_gid


def tail(path: Path, lines: int) -> str:
    """The last lines of a file, without reading all of a large one."""
    if not path.exists():
        return ""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 400 * lines))
        text = file.read().decode("utf-8", "replace")
    return "\n".join(text.splitlines()[-lines:])


def family(pid: int) -> list[psutil.Process]:
    """A process, its descendants, and the members of the session that it leads."""
    found = {process.pid: process for process in _of_session(pid)}
    with suppress(psutil.NoSuchProcess):
        leader = psutil.Process(pid)
        found |= {process.pid: process for process in [leader, *leader.children(recursive=True)]}
    return list(found.values())


def _of_session(pid: int) -> list[psutil.Process]:
    # Not by process group: Airflow gives each task a group of its own, and these must not survive either.
    members = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == pid and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
        except (OSError, psutil.Error):
            continue
    return members


def _send(process: psutil.Process, number: int) -> None:
    with suppress(psutil.NoSuchProcess, ProcessLookupError):
        process.send_signal(number)


def _kill(processes: Iterable[psutil.Process]) -> None:
    remaining = list(processes)
    for process in remaining:
        _send(process, signal.SIGKILL)
    _wait_gone(remaining, 5)


def _wait_gone(processes: list[psutil.Process], timeout: float) -> None:
    """Wait until each is gone or a zombie: one that nobody reaps does no harm and never goes."""
    deadline = time.monotonic() + timeout
    while any(_lives(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.05)


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_for(
    check: Callable[[], T | None],
    timeout: float,
    what: str,
    stop: StopSignal,
    needs: Iterable[ManagedProcess] = (),
) -> T:
    """The first answer of `check` but None. Raises DemoError when a needed process died or time is up."""
    deadline = time.monotonic() + timeout
    needed = list(needs)
    while (answer := check()) is None:
        for process in needed:
            if not process.alive:
                raise ProcessDied(death_notice(process))
        if time.monotonic() > deadline:
            logs = ", ".join(str(process.command.log) for process in needed)
            raise DemoError(f"{what} is not ready after {timeout:.0f} s. Look into {logs or 'the logs'}.")
        stop.pause(0.2)
    return answer


def death_notice(process: ManagedProcess) -> str:
    return (
        f"{process.name} ended by itself (exit code {process.returncode})."
        f" The last lines of {process.command.log}:\n{process.log_tail()}"
    )
