"""The few calls of Airflow's REST API that the demo makes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from demo.web import HttpError, call

ENDED = ("success", "failed")


@dataclass(frozen=True)
class TaskState:
    task_id: str
    state: str | None
    map_index: int
    try_number: int
    seconds: float | None

    @property
    def name(self) -> str:
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"


@dataclass(frozen=True)
class Schedule:
    paused: bool
    next_run: datetime | None


class AirflowApi:
    """Logs in on the first call. Raises HttpError."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        self._login = {"username": user, "password": password}
        self._token: str | None = None

    def call(self, method: str, path: str, body: object = None) -> Any:
        if self._token is None:
            self._token = str(call("POST", f"{self.url}/auth/token", self._login)["access_token"])
        return call(method, f"{self.url}/api/v2{path}", body, self._token, timeout=15)

    def sick_parts(self) -> list[str] | None:
        """Airflow's components that do not work yet; None while the API itself does not answer."""
        try:
            health = call("GET", f"{self.url}/api/v2/monitor/health")
        except HttpError:
            return None
        parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
        return [part for part in parts if (health.get(part) or {}).get("status") != "healthy"]

    def schedule(self, dag_id: str) -> Schedule | None:
        """None while Airflow does not know the DAG."""
        try:
            dag = self.call("GET", f"/dags/{dag_id}")
        except HttpError as error:
            if error.status == 404:
                return None
            raise
        next_run = dag.get("next_dagrun_run_after")
        # `Z` is understood by fromisoformat from Python 3.11 on
        return Schedule(bool(dag["is_paused"]), datetime.fromisoformat(next_run) if next_run else None)

    def import_errors(self) -> list[tuple[str, str]]:
        """File and last line of the trace of each DAG file that does not load."""
        errors = self.call("GET", "/importErrors")["import_errors"]
        return [(error["filename"], error["stack_trace"].strip().splitlines()[-1]) for error in errors]

    def trigger(self, dag_id: str, conf: dict[str, object] | None = None) -> str:
        body = {"logical_date": None, "conf": conf or {}}
        return str(self.call("POST", f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def unpause(self, dag_id: str) -> None:
        self.call("PATCH", f"/dags/{dag_id}?update_mask=is_paused", {"is_paused": False})

    def run_state(self, dag_id: str, run_id: str) -> str:
        return str(self.call("GET", f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}")["state"])

    def active_runs(self, dag_id: str) -> list[str]:
        runs = self.call("GET", f"/dags/{dag_id}/dagRuns?state=running&state=queued&limit=100")
        return [str(run["dag_run_id"]) for run in runs["dag_runs"]]

    def tasks(self, dag_id: str, run_id: str) -> list[TaskState]:
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances?limit=100&order_by=start_date"
        return [
            TaskState(
                task_id=task["task_id"],
                state=task["state"],
                map_index=task["map_index"],
                try_number=task["try_number"],
                seconds=task["duration"],
            )
            for task in self.call("GET", path)["task_instances"]
        ]
