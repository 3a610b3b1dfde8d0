"""The whole thing: a real scheduler, api-server and PostgreSQL, started as `make run` starts them; and `dag.test()`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo.layout import free_port

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.e2e, pytest.mark.integration]


@pytest.fixture(scope="module")
def run_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="o2o-e2e-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
        shutil.rmtree(folder, ignore_errors=True)


def stack(run_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`make run` with ports and a directory of the test's own."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "include"),
        "O2O_RUN_DIR": str(run_dir),
        "O2O_AIRFLOW_PORT": str(free_port()),
        "O2O_PG_PORT": str(free_port()),
        "O2O_SIMULATOR_PORT": str(free_port()),
    }
    command = [sys.executable, "-m", "demo", *arguments]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)


def test_make_run_registers_the_demo_people_once_and_a_second_one_sends_nothing(run_dir: Path) -> None:
    """First run: everybody mailed once. Second: the same mailbox, the same numbers."""
    first = stack(run_dir, "run", "--exit-after-first-run")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "took 47 calls and sent 47 mails; people mailed more than once: 0" in first.stdout
    second = stack(run_dir, "run", "--exit-after-first-run")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "took 47 calls and sent 47 mails; people mailed more than once: 0" in second.stdout


def test_task_logs_hold_no_personal_data_and_no_token(run_dir: Path) -> None:
    """Every log that the runs above left behind, the scheduler's own output too."""
    logs = [path for path in run_dir.rglob("*.log") if "postgres" not in path.name]
    text = "\n".join(path.read_text(errors="replace") for path in logs)
    assert "Run summary" in text
    assert "@example." not in text
    assert "Bearer " not in text
