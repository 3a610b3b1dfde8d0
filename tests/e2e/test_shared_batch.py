"""A large batch in a real Airflow: several tasks share it."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Live
from tests.faults.airflow import DAG, kill_task, running_tasks, wait

pytestmark = [pytest.mark.e2e, pytest.mark.integration]


def posts(live: Live, run: str) -> list[tuple[int, str | None, int]]:
    """(shard, state, tries) of each `post_users` task."""
    tasks = live.stack.api.tasks(DAG, run)
    return sorted((task.map_index, task.state, task.try_number) for task in tasks if task.task_id == "post_users")


def test_an_ordinary_batch_is_one_task(live: Live) -> None:
    ids = live.world.hire(3)
    run = live.trigger()
    assert wait(live.stack, run) == "success"
    assert posts(live, run) == [(0, "success", 1)]
    assert live.mailed_once(ids)


def test_a_large_batch_is_shared_and_a_shard_that_dies_is_repeated_alone(live: Live) -> None:
    """Whoever was in flight in it is in doubt; everybody else is mailed once."""
    live.world.settings(
        delivery={"people_per_shard": 40, "max_shards": 3, "calls_per_second": 15, "concurrency": 6},
        in_doubt={"policy": "hold"},
    )
    ids = live.world.hire(110)
    before = live.calls()
    run = live.trigger()
    live.until(lambda: live.calls() > before + 20)
    assert len(posts(live, run)) == 3
    assert kill_task(live.stack, running_tasks(live.stack)[-1])
    live.until(lambda: any(state == "up_for_retry" for _, state, _ in posts(live, run)), 60)
    task = f"/dags/{DAG}/clearTaskInstances"
    failed = next(shard for shard, state, _ in posts(live, run) if state == "up_for_retry")
    # Airflow would do so by itself, a minute later
    body = {"dag_run_id": run, "task_ids": [["post_users", failed]], "dry_run": False, "only_failed": False}
    live.stack.api.call("POST", task, body)
    assert wait(live.stack, run) == "success"
    tries = [tries for _, _, tries in posts(live, run)]
    assert sorted(tries)[:2] == [1, 1]
    assert sorted(tries)[2] > 1
    live.world.pass_time(300)
    assert live.run() == "success"
    doubtful = live.world.ids("in_doubt")
    assert len(doubtful) <= 6
    assert live.mailed_once([one for one in ids if one not in doubtful])
