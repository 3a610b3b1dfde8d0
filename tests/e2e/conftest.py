"""One real Airflow for many tests, over a warehouse, a ledger and a simulator that each test can disturb."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from demo.stack import Stack
from demo.web import HttpError

from tests.e2e.post import Post
from tests.faults.__main__ import servers
from tests.faults.airflow import DAG, airflow, end_all, wait
from tests.faults.world import World, world


@dataclass
class Live:
    """What the tests see of a running Airflow. The mailbox of `world` is the judge."""

    world: World
    stack: Stack
    post: Post

    def trigger(self, **conf: Any) -> str:
        """A manual run by the trigger form's values."""
        return self.stack.api.trigger(DAG, conf)

    def run(self, **conf: Any) -> str:
        """Trigger and wait. Returns the state in which the run ended; shows the logs when that is no success."""
        run = self.trigger(**conf)
        state = wait(self.stack, run)
        if state != "success":
            print(self.logs(run))
        return state

    def logs(self, run: str) -> str:
        """All task logs of a run."""
        files = sorted(self.stack.layout.task_logs.glob(f"dag_id={DAG}/run_id={run}/**/*.log"))
        return "\n".join(f"== {file.name} of {file.parent.name}\n{file.read_text()}" for file in files)

    def task(self, run: str, task_id: str) -> str | None:
        """The state of one task; None also where a busy machine answers too late."""
        try:
            tasks = self.stack.api.tasks(DAG, run)
        except HttpError as error:
            if error.status:
                raise
            return None
        return next((task.state for task in tasks if task.task_id == task_id), None)

    def until(self, condition: Callable[[], Any], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
            time.sleep(0.2)

    def calls(self) -> int:
        return len(self.world.simulator.calls)

    def mailed_once(self, ids: list[str]) -> bool:
        mails = self.world.mails()
        return [mails[one] for one in ids] == [1] * len(ids)


@pytest.fixture(scope="session")
def airflow_of_the_session() -> Iterator[Live]:
    post = Post()
    with servers() as (postgres, folder), world(postgres, folder, seed=7) as place:
        smtp = {"conn_type": "smtp", "host": "127.0.0.1", "port": post.port}
        smtp["extra"] = {"disable_ssl": True, "disable_tls": True}
        place.environment["AIRFLOW_CONN_SMTP_DEFAULT"] = json.dumps(smtp)
        with airflow(place) as stack:
            yield Live(place, stack, post)
    post.close()


@pytest.fixture
def live(airflow_of_the_session: Live) -> Iterator[Live]:
    """Quiet before each test: default settings, no fault, no run."""
    found = airflow_of_the_session
    found.world.simulator.clear_faults()
    found.world.settings()
    end_all(found.stack)
    yield found
    end_all(found.stack)
