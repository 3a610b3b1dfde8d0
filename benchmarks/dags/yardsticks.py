"""One `HttpOperator` task per person, as many do today."""

from __future__ import annotations

import os

from airflow.providers.http.operators.http import HttpOperator
from airflow.sdk import DAG, task

with DAG(dag_id="expanded_calls", schedule=None, max_active_runs=1, max_active_tasks=64):

    @task
    def bodies() -> list[str]:
        from benchmarks.contenders import body

        return [body(n) for n in range(int(os.environ["O2O_BENCH_EXPANDED"]))]

    HttpOperator.partial(
        task_id="post",
        http_conn_id="o2o_api",
        endpoint="receiver/APIv3/user.create",
        method="POST",
        headers={"Authorization": "Bearer {{ conn.o2o_api.password }}", "Content-Type": "application/json"},
    ).expand(data=bodies())
