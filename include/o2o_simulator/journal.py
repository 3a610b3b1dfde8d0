"""The journal: one JSON line per event, so that a restarted simulator has forgotten nothing."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from o2o_simulator.errors import JournalError
from o2o_simulator.records import Event, from_line, to_line


class Journal:
    """An append-only file that belongs to one simulator at a time.

    Each line reaches the operating system before `append` returns, so a killed process loses none. It is not
    synced to the disk: a stand-in need not survive a power cut, and a sync per call would set the pace.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def open(self) -> Iterator[Event]:
        """Open the file and yield its events, which must all be taken before appending."""
        try:
            file = self._path.open("a+b", buffering=0)
        except OSError as error:
            raise JournalError(f"journal {self._path}: {error.strerror}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise JournalError(f"journal {self._path}: another simulator is using it; choose another file") from error
        self._file = file
        return self._events()

    def append(self, event: Event) -> None:
        """Write one event; OSError when the disk refuses."""
        if self._file is None:
            raise JournalError(f"journal {self._path}: not open")
        line = json.dumps(to_line(event), separators=(",", ":")).encode() + b"\n"
        self._file.write(line)

    def close(self) -> None:
        """Close the file and let another simulator have it."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _events(self) -> Iterator[Event]:
        with self._path.open("rb") as lines:
            start = 0
            for number, line in enumerate(lines, 1):
                if line.endswith(b"\n"):
                    yield self._event(number, line)
                    start += len(line)
                else:
                    self._forget_torn_line(start)

    def _event(self, number: int, line: bytes) -> Event:
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError("not a JSON object")
            return from_line(row)
        except ValueError as error:
            raise JournalError(
                f"journal {self._path}, line {number}: {error}; mend or remove the line, or start with a new file"
            ) from error

    def _forget_torn_line(self, start: int) -> None:
        """Cut off what a kill left half-written, so that the next event does not stick to it."""
        os.truncate(self._path, start)
