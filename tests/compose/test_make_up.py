"""`make up` is `docker compose up`, with secrets made before it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.compose.composefile import PROJECT

NEEDED = ("make", "sh", "mkdir", "cp", "id", "echo", "test", "sed", "tail", "tr")
RECORDER = """#!/bin/sh
echo "$SECRETS_USER|$*" >> "$HOME/calls"
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What the target reads, and a PATH on which there is no Docker."""
    (tmp_path / "docs" / "deploy").mkdir(parents=True)
    for name in ("Makefile", "docs/deploy/env.example"):
        shutil.copy(PROJECT / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    for name in NEEDED:
        if found := shutil.which(name):
            (tmp_path / "bin" / name).symlink_to(found)
    return tmp_path


def make(clone: Path, target: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(clone / "bin"), "HOME": str(clone), **variables}
    return subprocess.run(["make", target], cwd=clone, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("target", ["up", "down", "secrets"])
def test_without_docker_it_says_so(clone: Path, target: str) -> None:
    done = make(clone, target)
    assert done.returncode == 2
    assert "needs Docker with its Compose plugin" in done.stderr
    assert not (clone / ".env").exists()


@pytest.fixture
def docker(clone: Path) -> None:
    """Writes down what is asked of it."""
    (clone / "bin" / "docker").write_text(RECORDER)
    (clone / "bin" / "docker").chmod(0o755)


@pytest.mark.usefixtures("docker")
def test_what_it_asks_of_docker(clone: Path) -> None:
    assert make(clone, "up").returncode == 0
    calls = [line.partition("|") for line in (clone / "calls").read_text().splitlines()]
    assert [call for _, _, call in calls] == [
        "compose version",
        "compose run --rm --build secrets",
        "compose up --build --detach",
    ]
    assert calls[1][0].replace(":", "").isdigit()
    assert (clone / ".secrets").stat().st_mode & 0o077 == 0
    assert (clone / ".env").read_text() == (clone / "docs/deploy/env.example").read_text()
    (clone / ".env").write_text("WORKERS=3\n")
    make(clone, "up")
    assert (clone / ".env").read_text() == "WORKERS=3\n"


@pytest.mark.usefixtures("docker")
@pytest.mark.parametrize("says", ["{}", '"{}"', "'{}'"])
def test_the_folder_of_secrets_is_the_one_that_docker_mounts(clone: Path, tmp_path: Path, says: str) -> None:
    """Docker would make one that is not there, and it would be root's."""
    folder = tmp_path / "elsewhere" / "the secrets"
    (clone / ".env").write_text(f"WORKERS=2\n#O2O_SECRETS_DIR=./not-this\nO2O_SECRETS_DIR={says.format(folder)}\n")
    done = make(clone, "up")
    assert done.returncode == 0, done.stderr
    assert folder.stat().st_mode & 0o077 == 0
    assert not (clone / ".secrets").exists()
    assert f"password in {folder}/admin_password" in done.stdout


@pytest.mark.usefixtures("docker")
def test_the_environment_goes_before_the_file_as_for_docker(clone: Path) -> None:
    (clone / ".env").write_text("O2O_SECRETS_DIR=./of-the-file\n")
    assert make(clone, "secrets", O2O_SECRETS_DIR="./of-the-shell").returncode == 0
    assert (clone / "of-the-shell").is_dir()
    assert not (clone / "of-the-file").exists()


def has_compose() -> bool:
    """Docker with the plugin."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0


@pytest.mark.skipif(not has_compose(), reason="there is no Docker with its Compose plugin here")
def test_docker_reads_the_file() -> None:
    done = subprocess.run(["docker", "compose", "config", "--quiet"], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
