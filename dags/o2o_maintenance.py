"""
### Forgets what is no longer needed about people

Every night: deletes personal data that is older than `settings.yaml` (`privacy`) says, in small transactions beside
whatever runs. **Nobody is ever e-mailed again for having been forgotten**, and the audit keeps its facts under a
pseudonym. Nothing of people who still wait (pending, held, being called, in doubt) is touched.

| task | what it does |
|---|---|
| `erase_people` | erases the employees named in the trigger form; else skipped |
| `forget_old_data` | names and addresses, o2o's answers, rows set aside, employee ids, each after its time |
| `delete_data_docs` | old pages of Great Expectations |

It needs the connection `o2o_privacy`, whose password is the key for pseudonyms: see docs/privacy.md. **To erase one
person**, trigger it with the employee id and a reason; a *dry run* counts, and deletes nothing.
"""

from datetime import timedelta

import o2o_maintenance_tasks as tasks
import o2o_notify
from airflow.sdk import DAG, CronDataIntervalTimetable, Param, task
from o2o_registration import clients

PARAMS = {
    "erase": Param(
        [],
        type=["null", "array"],
        items={"type": "string"},
        title="Erase these employees",
        description="Employee ids, one per line, no names and no addresses: what is typed here stays in Airflow."
        " All that is held on them is deleted, and they are never called again.",
    ),
    "why": Param(
        None,
        type=["null", "string"],
        maxLength=500,
        title="Why",
        description="The reason for the erasure, without personal data. The audit keeps it, with your name.",
    ),
    "dry_run": Param(
        False,
        type="boolean",
        title="Dry run",
        description="Count what would be forgotten; delete nothing, erase nobody.",
    ),
}


def make(client: clients.Client) -> DAG:
    """The DAG of one client."""
    with DAG(
        dag_id=client.maintenance_dag_id,
        description="Deletes personal data that is no longer needed",
        doc_md=__doc__,
        # at night, when neither HR nor the desk works
        schedule=CronDataIntervalTimetable("30 2 * * *", timezone="UTC"),
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timedelta(hours=20),
        default_args={
            "owner": "o2o-registration",
            "retries": 3,
            "retry_delay": timedelta(minutes=5),
            "retry_exponential_backoff": True,
            "on_failure_callback": o2o_notify.on_failure(client.name),
            # the first night may have years to forget
            "execution_timeout": timedelta(hours=6),
        },
        params=PARAMS,
        tags=["o2o", "hr", "privacy", *([client.name] if client.name != clients.DEFAULT else [])],
    ) as dag:
        # independent of each other: an erasure that must wait keeps nothing else from being forgotten
        for function in (tasks.erase_people, tasks.forget_old_data, tasks.delete_data_docs):
            task(task_id=function.__name__, show_return_value_in_logs=False)(function)(client=client.name)
    return dag


for one in clients.served():
    make(one)
