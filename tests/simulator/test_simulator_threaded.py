"""The simulator in synchronous tests."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from typing import Any

import pytest
from o2o_simulator import USER_CREATE_PATH, FaultError, ListenError, RunningSimulator, running_simulator
from simulator_caller import NAMED, TOKEN


def post(simulator: RunningSimulator, user: dict[str, Any], patience: float = 10.0) -> int:
    headers = {"Authorization": NAMED, "Content-Type": "application/json"}
    body = json.dumps({"user": user}).encode()
    request = urllib.request.Request(simulator.url + USER_CREATE_PATH, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=patience) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_a_synchronous_test_sees_mails_calls_and_numbers(jane: dict[str, Any]) -> None:
    """During the block and after it."""
    with running_simulator(TOKEN) as simulator:
        assert post(simulator, jane) == 201
        assert [mail.to for mail in simulator.mailbox] == ["jane@acme.example"]
    assert [call.status for call in simulator.calls] == [201]
    assert simulator.summary().people == 1


def test_faults_can_be_set_and_cleared(jane: dict[str, Any]) -> None:
    """A wrong one raises in the thread that asked for it."""
    with running_simulator(TOKEN) as simulator:
        simulator.add_fault("status", status=503, share=1)
        assert post(simulator, jane) == 503
        assert simulator.clear_faults() == 1
        with pytest.raises(FaultError, match="unknown"):
            simulator.add_fault("nonsense", next=1)
        assert post(simulator, jane) == 201
        simulator.reset()
        assert simulator.mailbox == []


def test_snapshots_agree_while_calls_come_in(jane: dict[str, Any]) -> None:
    """Reading from another thread needs no lock."""
    with running_simulator(TOKEN) as simulator:
        people = [jane | {"Email": f"p{number}@acme.example"} for number in range(100)]
        callers = [
            threading.Thread(target=lambda part: [post(simulator, person) for person in part], args=(people[n::4],))
            for n in range(4)
        ]
        for caller in callers:
            caller.start()
        while any(caller.is_alive() for caller in callers):
            summary = simulator.summary()
            assert summary.mails == sum(summary.mails_by_subject.values()) == summary.people
        for caller in callers:
            caller.join()
        assert len({mail.to for mail in simulator.mailbox}) == 100


def test_it_stops_at_once_with_a_late_call_pending(jane: dict[str, Any]) -> None:
    """Neither a hanging call nor one whose client has left holds it up."""
    began = time.monotonic()
    with running_simulator(TOKEN) as simulator:
        simulator.add_fault("latency", seconds=60, next=1)
        with pytest.raises(TimeoutError):
            post(simulator, jane, patience=0.2)
        simulator.add_fault("hang", next=1)
        with pytest.raises(TimeoutError):
            post(simulator, jane, patience=0.2)
    assert time.monotonic() - began < 5


def test_a_start_that_fails_raises_and_leaves_no_thread() -> None:
    """A taken port is the test's problem, not a hang."""
    before = set(threading.enumerate())
    with running_simulator(TOKEN) as first:
        port = int(first.url.rpartition(":")[2])
        with pytest.raises(ListenError, match="is taken"), running_simulator(TOKEN, port=port):
            pass
    assert set(threading.enumerate()) <= before
