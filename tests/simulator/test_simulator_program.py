"""The simulator as a program: how it starts, how it fails, how it stops."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from o2o_simulator import USER_CREATE_PATH
from simulator_caller import NAMED, TOKEN

INCLUDE = Path(__file__).parents[2] / "include"


def start(*arguments: str, token: str | None = TOKEN) -> subprocess.Popen[str]:
    environment = {"PYTHONPATH": str(INCLUDE), "PATH": os.environ["PATH"]}
    if token is not None:
        environment["O2O_SIMULATOR_TOKEN"] = token
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "o2o_simulator", *arguments],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run(*arguments: str, token: str | None = TOKEN) -> tuple[int, str]:
    """Exit code and standard error of a program that does not start."""
    with start(*arguments, token=token) as program:
        _, complaint = program.communicate(timeout=20)
        return program.returncode, complaint


def url_of(program: subprocess.Popen[str]) -> str:
    assert program.stdout is not None
    found = re.search(r"http://127\.0\.0\.1:\d+", program.stdout.readline())
    assert found is not None
    return found.group()


def stop(program: subprocess.Popen[str], number: int = signal.SIGTERM) -> tuple[int, str]:
    program.send_signal(number)
    _, complaint = program.communicate(timeout=10)
    return program.returncode, complaint


def post(url: str, user: dict[str, Any]) -> int:
    headers = {"Authorization": NAMED, "Content-Type": "application/json"}
    body = json.dumps({"user": user}).encode()
    request = urllib.request.Request(url + USER_CREATE_PATH, data=body, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return int(answer.status)


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


@pytest.fixture
def program(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    with start("--port", "0", "--journal", str(tmp_path / "journal")) as running:
        yield running
        running.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_at_once_even_with_calls_that_hang(
    program: subprocess.Popen[str], jane: dict[str, Any], number: int
) -> None:
    """Exit code 0, nothing on standard error, and no wait for calls in flight."""
    url = url_of(program)
    fault = json.dumps({"kind": "hang", "share": 1}).encode()
    headers = {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(url + "/simulator/faults", data=fault, headers=headers)).close()
    ends: list[str] = []

    def hanging_call() -> None:
        try:
            post(url, jane)
        except OSError as error:
            ends.append(type(error).__name__)

    callers = [threading.Thread(target=hanging_call) for _ in range(5)]
    for caller in callers:
        caller.start()
    while get(url + "/simulator/summary")["in_flight"] < 5:
        time.sleep(0.02)

    began = time.monotonic()
    assert stop(program, number) == (0, "")
    assert time.monotonic() - began < 3
    for caller in callers:
        caller.join()
    assert len(ends) == 5


def test_a_killed_program_remembers_after_its_restart(tmp_path: Path, jane: dict[str, Any]) -> None:
    """SIGKILL loses no mail that was sent."""
    journal = str(tmp_path / "journal")
    with start("--port", "0", "--journal", journal) as first:
        assert post(url_of(first), jane) == 201
        first.kill()
        first.communicate(timeout=10)
    with start("--port", "0", "--journal", journal) as second:
        url = url_of(second)
        assert post(url, jane) == 200
        assert get(url + "/simulator/summary")["people_mailed_more_than_once"] == 1
        assert stop(second) == (0, "")


def test_its_options_reach_the_server(jane: dict[str, Any]) -> None:
    """Bike plans and latency are what the command line says."""
    with start("--port", "0", "--bike-plans", "MINE,YOURS", "--latency", "0.3") as program:
        url = url_of(program)
        began = time.monotonic()
        assert post(url, jane | {"BikePlanCode": "YOURS"}) == 201
        assert time.monotonic() - began >= 0.3
        assert stop(program) == (0, "")


def test_a_taken_port_is_one_clear_line_and_exit_code_2() -> None:
    """No traceback, and the way out."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, complaint = run("--port", str(port))
    assert code == 2
    assert complaint == (
        f"o2o_simulator: port {port} on 127.0.0.1 is taken; "
        "stop the program that uses it, or choose another with --port\n"
    )


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--host", "192.0.2.1", "--port", "0"], "cannot listen on 192.0.2.1"),
        (["--host", "." * 300, "--port", "0"], "cannot listen on"),
        (["--port", "0", "--journal", "/"], "journal /"),
    ],
)
def test_what_cannot_be_used_is_one_clear_line_and_exit_code_2(arguments: list[str], named: str) -> None:
    """Addresses and files that do not work are named."""
    code, complaint = run(*arguments)
    assert (code, complaint.count("\n")) == (2, 1)
    assert named in complaint


@pytest.mark.parametrize("token", [None, "", "two words", "naïve", "line\nbreak"])
def test_a_missing_or_unusable_token_is_named(token: str | None) -> None:
    """The variable is named, its value is not shown."""
    code, complaint = run("--port", "0", token=token)
    assert code == 2
    assert "O2O_SIMULATOR_TOKEN" in complaint
    assert "Traceback" not in complaint
    assert not token or token not in complaint


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--port", "x"], "'x' is no port"),
        (["--port", "65536"], "'65536' is no port"),
        (["--port", "-1"], "--port"),
        (["--latency", "nan"], "'nan' is no number of seconds"),
        (["--latency", "-1"], "--latency"),
        (["--bike-plans", "A,,B"], "has an empty code"),
        (["--verbose"], "--verbose"),
        (["stray"], "stray"),
    ],
)
def test_a_wrong_argument_is_named(arguments: list[str], named: str) -> None:
    """Usage, one line that says what is wrong, exit code 2."""
    code, complaint = run(*arguments)
    assert code == 2
    assert named in complaint
    assert "Traceback" not in complaint
