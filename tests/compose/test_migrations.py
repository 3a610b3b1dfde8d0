"""What `migrations` and the chart's job do, with stand-ins for the programs: one bad ledger stops nobody else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.compose.composefile import PROJECT, services

VALUES = yaml.safe_load((PROJECT / "docs/deploy/values.yaml").read_text())
COMMANDS = {
    "migrations": services({})["migrations"].command,
    "migrateDatabaseJob": VALUES["migrateDatabaseJob"]["args"],
}
STAND_IN = """#!/bin/sh
echo "{name} $*" >> "$HOME/calls"
if [ "{name} $*" = "$FAILS" ]; then echo "what is wrong" >&2; exit 2; fi
"""


def carry_out(command: list[str], folder: Path, fails: str = "") -> tuple[int, list[str], str]:
    """Exit code, the calls of the programs, and what was said on standard error."""
    for name in ("airflow", "python"):
        (folder / name).write_text(STAND_IN.format(name=name))
        (folder / name).chmod(0o755)
    (folder / "admin_password").write_text("secret of the test")
    words = [word.replace("/run/secrets", str(folder)) for word in command]
    environment = {"PATH": f"{folder}:/usr/bin:/bin", "HOME": str(folder), "FAILS": fails}
    done = subprocess.run(words, env=environment, stderr=subprocess.PIPE, text=True, timeout=30)
    calls = [line[:20] for line in (folder / "calls").read_text().splitlines()]
    return done.returncode, calls, done.stderr


@pytest.fixture(params=COMMANDS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def steps(name: str) -> list[str]:
    first = ["airflow db migrate", "python -m o2o_ledgers"]
    return [*first, "airflow users create"] if name == "migrations" else first


def test_all_is_brought_up(name: str, tmp_path: Path) -> None:
    assert carry_out(COMMANDS[name], tmp_path) == (0, [one[:20] for one in steps(name)], "")


def test_a_ledger_that_cannot_be_upgraded_is_told_and_stops_nobody_else(name: str, tmp_path: Path) -> None:
    """All services wait for `migrations` to succeed, and the first person is made after the ledgers."""
    code, calls, said = carry_out(COMMANDS[name], tmp_path, fails="python -m o2o_ledgers")
    assert code == 0
    assert calls == [one[:20] for one in steps(name)]
    assert "what is wrong" in said
    assert "NOT EVERY LEDGER IS UPGRADED" in said


def test_without_airflows_own_database_nothing_starts(name: str, tmp_path: Path) -> None:
    code, calls, said = carry_out(COMMANDS[name], tmp_path, fails="airflow db migrate")
    assert code == 2
    assert calls == ["airflow db migrate"]
    assert "NOT EVERY LEDGER" not in said
