"""From a task to the page that shows its run."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class RunPageLink(BaseOperatorLink):
    """Opens the "o2o registrations" page for the run that the task belongs to."""

    name = "o2o registrations of this run"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The page's address, relative to Airflow's."""
        return f"/o2o/?{urlencode({'dag': ti_key.dag_id, 'run': ti_key.run_id})}"
