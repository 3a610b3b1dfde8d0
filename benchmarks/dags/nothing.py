"""One empty task: what any DAG costs Airflow."""

from airflow.sdk import DAG, task

with DAG(dag_id="empty_task", schedule=None, max_active_runs=1):

    @task
    def nothing() -> None:
        """Does nothing, which still takes a task's process."""

    nothing()
