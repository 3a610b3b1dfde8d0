"""Runs of every kind at the same time, as real parallel processes of a real Airflow; and repeated backfills."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from demo import airflow as demo_airflow

from tests.e2e.conftest import Live
from tests.faults.airflow import DAG, wait

pytestmark = [pytest.mark.e2e, pytest.mark.integration]


def backfill(live: Live, minutes: int, *options: str) -> None:
    """`airflow backfill create` over the whole intervals of the last so many minutes."""
    stack = live.stack
    env = demo_airflow.environment(stack.layout, stack.ports, stack.secrets, stack.postgres)
    end = datetime.now(UTC)
    command = [
        *(sys.executable, "-m", "airflow", "backfill", "create", "--dag-id", DAG, "--max-active-runs", "3"),
        *("--from-date", (end - timedelta(minutes=minutes)).isoformat(), "--to-date", end.isoformat(), *options),
    ]
    done = subprocess.run(
        command,
        env={**os.environ, **env, **stack.config.environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def backfill_runs(live: Live) -> list[tuple[str, str]]:
    runs = live.stack.api.call("GET", f"/dags/{DAG}/dagRuns?run_type=backfill&limit=100")["dag_runs"]
    return [(run["dag_run_id"], run["state"]) for run in runs]


def backfilled(live: Live) -> None:
    """Until Airflow calls every backfill complete; each of its runs must have ended in success."""

    def ended() -> bool:
        backfills = live.stack.api.call("GET", f"/backfills?dag_id={DAG}")["backfills"]
        return all(one["completed_at"] for one in backfills)

    live.until(ended, 240)
    assert {state for _, state in backfill_runs(live)} == {"success"}


def test_backfills_are_safe_to_repeat(live: Live) -> None:
    """Each interval is a run; the second time, every run works again and nobody is mailed again."""
    ids = live.world.hire(20, changed=timedelta(minutes=25))
    backfill(live, 41)
    backfilled(live)
    assert len(backfill_runs(live)) >= 3
    assert live.mailed_once(ids)
    backfill(live, 41, "--reprocess-behavior", "completed")
    backfilled(live)
    assert live.mailed_once(ids)


def test_overlapping_runs_mail_each_person_once(live: Live) -> None:
    """A backfill, two manual runs and a cleared one, side by side, while calls are slow."""
    live.world.settings(delivery={"concurrency": 8, "calls_per_second": 20})
    live.world.simulator.add_fault("latency", share=1, seconds=0.4)
    ids = live.world.hire(150, changed=timedelta(minutes=12))
    since = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    runs = [live.trigger(), live.trigger(since=since)]
    live.until(lambda: "running" in [live.task(run, "post_users") for run in runs])
    body = {"dag_run_id": runs[0], "dry_run": False, "only_failed": False}
    live.stack.api.call("POST", f"/dags/{DAG}/clearTaskInstances", body)
    backfill(live, 16, "--reprocess-behavior", "completed")
    assert [wait(live.stack, run) for run in runs] == ["success", "success"]
    backfilled(live)
    if live.world.ids("pending"):
        assert live.run() == "success"
    assert not live.world.ids("in_doubt")
    assert live.mailed_once(ids)
