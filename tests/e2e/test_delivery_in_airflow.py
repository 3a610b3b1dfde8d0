"""How a delivery lives in a real Airflow: it defers, it is stopped, it is killed, and its doubts are seen."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e.conftest import Live
from tests.faults.airflow import DAG, VICTIMS, strikes, wait

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

MARK_FAILED = "mark failed"
CLEAR = "clear"


def test_a_long_retry_after_holds_no_worker(live: Live) -> None:
    """The task defers, comes back by itself, and everybody is mailed once."""
    live.world.settings(delivery={"max_wait_seconds": 1, "concurrency": 1})
    live.world.simulator.add_fault("status", status=429, next=1, headers={"Retry-After": "8"})
    ids = live.world.hire(10)
    run = live.trigger()
    live.until(lambda: live.task(run, "post_users") == "deferred")
    assert wait(live.stack, run) == "success"
    assert live.mailed_once(ids)


@pytest.mark.parametrize("how", [MARK_FAILED, CLEAR])
def test_a_delivery_that_somebody_stops_ends_soon_and_loses_nothing(live: Live, how: str) -> None:
    """No call later than 10 s after, no attempt open, nobody in doubt whose answer comes within the bound."""
    live.world.settings(delivery={"concurrency": 4, "calls_per_second": 4, "read_seconds": 30})
    live.world.simulator.add_fault("latency", share=1, seconds=1.0)
    ids = live.world.hire(120)
    before = live.calls()
    run = live.trigger()
    live.until(lambda: live.calls() > before + 8)
    _stop(live, run, how)
    if how == MARK_FAILED:
        time.sleep(10)
        after = live.calls()
        assert live.world.query("select count(*) from o2o.attempt where closed_at is null") == [(0,)]
        assert live.world.ids("pending")
        time.sleep(3)
        assert live.calls() == after < before + len(ids)
    live.world.simulator.clear_faults()
    live.world.settings(delivery={"calls_per_second": 400})
    if how == MARK_FAILED:
        assert live.run() == "success"
    assert wait(live.stack, run) == ("failed" if how == MARK_FAILED else "success")
    assert not live.world.ids("in_doubt")
    if live.world.ids("pending"):
        live.world.pass_time(120)
        live.run()
    assert live.mailed_once(ids)


def _stop(live: Live, run: str, how: str) -> None:
    path = f"/dags/{DAG}"
    if how == MARK_FAILED:
        task = f"{path}/dagRuns/{quote(run, safe='')}/taskInstances/post_users/0"
        live.stack.api.call("PATCH", f"{task}?update_mask=new_state", {"new_state": "failed"})
    else:
        body = {"dag_run_id": run, "task_ids": ["post_users"], "dry_run": False, "only_failed": False}
        live.stack.api.call("POST", f"{path}/clearTaskInstances", body)


def test_killed_schedulers_tasks_and_supervisors_lose_nobody(live: Live) -> None:
    """Whoever was in flight is called again at most once, and marked."""
    ids_before = set(live.world.expected)
    assert strikes(live.world, live.stack, 1) == len(VICTIMS)
    ids = sorted(live.world.expected - ids_before)
    repeated = {row[0] for row in live.world.query("select employee_id from o2o.attempt where kind = 'resend'")}
    mails = live.world.mails()
    assert all(mails[one] == 1 or (one in repeated and mails[one] == 2) for one in ids)


def test_many_people_in_doubt_are_seen_by_alerts_and_confirmed_by_the_trigger_form(live: Live) -> None:
    """An event of the asset `o2o_in_doubt`; the audit has the user's name and the reason."""
    live.world.settings(in_doubt={"policy": "hold", "warn_at": 1})
    live.world.simulator.add_fault("reset_after_read", next=1, processed=True)
    (one,) = live.world.hire(1)
    assert live.run() == "success"
    assert live.world.ids("in_doubt") == {one}
    assert _events(live, "o2o_in_doubt")[-1]["extra"]["in_doubt_now"] == 1
    assert live.run(action="confirm in doubt", why="on o2o's list", employee_ids=[one]) == "success"
    assert live.world.ids("in_doubt") == set()
    audit = live.world.query(f"select actor, detail from o2o.audit where event = 'confirmed' and employee_id = '{one}'")
    assert audit == [("admin", "o2o has this person: on o2o's list")]


def _events(live: Live, asset: str) -> list[Any]:
    found = live.stack.api.call("GET", f"/assets?name_pattern={asset}&only_active=false")["assets"]
    assert [one["name"] for one in found] == [asset]
    events: list[Any] = live.stack.api.call("GET", f"/assets/events?asset_id={found[0]['id']}")["asset_events"]
    return events
