"""Who is told, and how an engineer gets from a task to its run's registrations."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.e2e.conftest import Live
from tests.faults.airflow import DAG

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

BY_MAIL = {
    "notifier": "airflow.providers.smtp.notifications.smtp.SmtpNotifier",
    "arguments": {
        "to": "oncall@example.com",
        "from_email": "airflow@example.com",
        "subject": "{{ dag.dag_id }}: {{ ti.task_id }}",
        "html_content": "<p>Look at {{ ti.task_id }} of {{ run_id }}.</p>",
    },
}
BROKEN = {"notifier": "no.such.Notifier"}


def test_a_task_that_fails_for_good_and_many_in_doubt_are_told_by_e_mail(live: Live) -> None:
    """By any Airflow notifier that settings.yaml names; a broken one keeps nobody from going on."""
    live.world.settings(
        notify={"on_failure": [BROKEN, BY_MAIL], "on_many_in_doubt": [BY_MAIL]},
        in_doubt={"policy": "hold", "warn_at": 1},
    )
    live.world.pass_time(3600)
    live.world.simulator.add_fault("status", status=401, next=1)
    live.world.hire(1)
    assert live.run() == "failed"
    live.until(lambda: any("post_users" in letter for letter in live.post.letters), 30)
    live.world.pass_time(120)
    live.world.simulator.clear_faults()
    live.world.simulator.add_fault("reset_after_read", next=1, processed=True)
    live.world.hire(1)
    assert live.run() == "success"
    live.until(lambda: any("load_audit" in letter for letter in live.post.letters), 30)
    letters = "".join(live.post.letters)
    assert f"Subject: {DAG}: " in letters
    assert "Peeters" not in letters


def test_each_task_links_to_its_runs_page(live: Live) -> None:
    """Under the name that the page has."""
    live.world.hire(1)
    run = live.trigger()
    live.until(lambda: live.stack.api.run_state(DAG, run) == "success")
    for task in ("extract_interested_employees", "check_quality", "approve_large_batch", "post_users", "load_audit"):
        path = f"/dags/{DAG}/dagRuns/{quote(run, safe='')}/taskInstances/{task}/links"
        mapped = 0 if task == "post_users" else -1
        links = live.stack.api.call("GET", f"{path}?map_index={mapped}")["extra_links"]
        assert links == {"o2o registrations of this run": f"/o2o/?dag={DAG}&run={quote(run, safe='')}"}
