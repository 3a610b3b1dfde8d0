"""A run directory of the test's own, the demo's command line in it, and what looks like a running stack."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from demo.layout import PROJECT, Layout, Ports
from demo.state import StackLock, StackState

Demo = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def layout() -> Iterator[Layout]:
    """Where PostgreSQL can go as well, which does not run as root."""
    with tempfile.TemporaryDirectory(prefix="o2o-demo-") as folder:
        Path(folder).chmod(0o755)
        yield Layout(run_dir=Path(folder) / "run")


@pytest.fixture
def demo(layout: Layout) -> Demo:
    """Calls the demo as the Makefile does."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "demo", "--run-dir", str(layout.run_dir), *arguments],
            env=os.environ | {"PYTHONPATH": str(PROJECT / "include")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return call


@pytest.fixture
def running(layout: Layout) -> Iterator[StackState]:
    """A stack without a single process, as other commands see it."""
    lock = StackLock(layout.lock_file)
    assert lock.acquire()
    state = StackState(os.getpid(), Ports(1, 2, 3), [])
    state.write(layout.state_file)
    yield state
    lock.release()
