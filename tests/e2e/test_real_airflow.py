"""The whole thing: a real scheduler, api-server and PostgreSQL, started and stopped as the README says."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
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


class Terminal:
    """Somebody who types make, with ports and a directory of the test's own."""

    def __init__(self, run_dir: Path, notes: Path) -> None:
        ports = {f"{name}_PORT": str(free_port()) for name in ("AIRFLOW", "PG", "SIMULATOR")}
        self._variables = [f"{name}={value}" for name, value in {**ports, "RUN_DIR": str(run_dir)}.items()]
        self.said = notes / "said"

    def starts(self, *words: str, said: Path | None = None) -> subprocess.Popen[bytes]:
        """What it says goes to a file, `said` unless another is named."""
        # not what the tests' own make was told
        told = {"ARGS", "JOBS", "N", "PYTHON"}
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in told and not name.startswith(("MAKE", "MFLAGS", "O2O"))
        }
        with open(said or self.said, "wb") as output:
            command = ["make", *words, *self._variables]
            return subprocess.Popen(command, cwd=ROOT, env=inherited, stdout=output, stderr=subprocess.STDOUT)

    def types(self, *words: str) -> str:
        """To its end. Returns what it said."""
        said = self.said.with_name("said elsewhere")
        code = self.starts(*words, said=said).wait(400)
        assert code == 0, said.read_text()
        return said.read_text()

    def reads(self, text: str, process: subprocess.Popen[bytes]) -> None:
        """Waits until that is said."""
        deadline = time.monotonic() + 300
        while text not in self.said.read_text():
            assert process.poll() is None, self.said.read_text()
            assert time.monotonic() < deadline, self.said.read_text()
            time.sleep(0.5)


@pytest.fixture(scope="module")
def terminal(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    return Terminal(run_dir, tmp_path_factory.mktemp("terminal"))


def test_what_the_readme_types_registers_everybody_once(terminal: Terminal) -> None:
    """`make run`; from another terminal more people, corrections, and the end. The next start goes on with it."""
    running = terminal.starts("run")
    try:
        terminal.reads("took 47 calls and sent 47 mails; people mailed more than once: 0", running)
        terminal.reads("Ctrl-C", running)
        assert "20" in terminal.types("people", "N=20")
        terminal.types("mend")
        assert "scheduler" in terminal.types("status")
        terminal.types("stop")
        assert running.wait(60) == 0
    finally:
        running.send_signal(signal.SIGINT)
        running.wait(60)
    said = terminal.types("run", "ARGS=--exit-after-first-run")
    assert "took 75 calls and sent 75 mails; people mailed more than once: 0" in said


def test_task_logs_hold_no_personal_data_and_no_token(run_dir: Path) -> None:
    """Every log that the runs above left behind, the scheduler's own output too."""
    logs = [path for path in run_dir.rglob("*.log") if "postgres" not in path.name]
    text = "\n".join(path.read_text(errors="replace") for path in logs)
    assert "Run summary" in text
    assert "@example." not in text
    assert "Bearer " not in text


def test_what_is_stopped_can_be_deleted(terminal: Terminal, run_dir: Path) -> None:
    terminal.types("clean")
    assert not run_dir.exists() or not any(run_dir.iterdir())
