"""
### Registers interested employees with o2o

Every five minutes: reads the people who newly said in HR that they are interested in a bike lease, checks their rows,
calls o2o's `user.create` once for each, and writes what came back to the audit table. **Each call e-mails a person**,
so nobody is called twice, and every row can be accounted for.

| task | what it does |
|---|---|
| `extract_interested_employees` | reads what changed in HR since the last success; skips the rest if nothing did |
| `check_quality` | sets bad rows aside in `o2o.quarantine` with all reasons; stops when too many are bad |
| `build_payloads` | makes a pending registration of each good row |
| `approve_large_batch` | asks a person before an unusually large batch is e-mailed |
| `post_users` | calls o2o; an intent is committed before each call |
| `load_audit` | writes the audit rows, proves that the numbers add up, moves the watermark |

**To run it by hand**, use the trigger form: a window, single employees, or a dry run that calls nobody.
**To look somebody up**, read `o2o.audit` and `o2o.registration` by `employee_id`.
A failed run loses nothing: the next one begins where the last successful one ended.

Where the configuration folder has client files there is a DAG for each of them, over connections, plans and a ledger of
its own.
"""

from datetime import timedelta

import o2o_notify
import o2o_tasks as tasks

# not used here: Airflow imports what a DAG file itself names once, instead of at each parse
from airflow.providers.http.operators.http import HttpOperator  # noqa: F401
from airflow.providers.standard.operators.hitl import ApprovalOperator  # noqa: F401
from airflow.providers.standard.operators.python import PythonOperator  # noqa: F401
from airflow.sdk import DAG, CronDataIntervalTimetable, Param, get_parsing_context
from o2o_approval import ApproveLargeBatchOperator
from o2o_lineage import ExtractOperator, PipelineOperator
from o2o_links import RunPageLink
from o2o_operator import O2OUserCreateOperator
from o2o_registration import clients

PARAMS = {
    "since": Param(
        None,
        type=["null", "string"],
        format="date-time",
        title="Changed since",
        description="Read the HR rows that changed at or after this instant. Empty: from where the last successful"
        " run ended. For a backfill of a month, give a window here: one run reads it all.",
    ),
    "until": Param(
        None,
        type=["null", "string"],
        format="date-time",
        title="Changed before",
        description="Read the HR rows that changed before this instant. Empty: until now.",
    ),
    "employee_ids": Param(
        [],
        type=["null", "array"],
        items={"type": "string"},
        title="Only these employees",
        description="Employee ids, one per line. They are looked at whenever their HR row changed, and a rejected or"
        " quarantined one is tried again although HR did not change it. Registered people are never sent again.",
    ),
    "action": Param(
        None,
        type=["null", "string"],
        enum=[None, "confirm in doubt", "release in doubt", "approve held", "send refused again", "hold pending"],
        title="Action",
        description="What to do about people that wait for a decision. Confirm: o2o has them, never send them again."
        " Release: o2o does not have them, send them again. Approve: send those whom a rejected or unanswered"
        " approval left held. Send again: those whom o2o refused. Hold: those who are pending wait until somebody"
        " approves. Concerns the employees named above; nobody named: all of them.",
    ),
    "why": Param(
        None,
        type=["null", "string"],
        maxLength=500,
        title="Why",
        description="The reason for the action. The audit keeps it, with your name.",
    ),
    "dry_run": Param(
        False,
        type="boolean",
        title="Dry run",
        description="Read and check, call nobody, register nobody; the log of build_payloads says who would be sent.",
    ),
    "max_people": Param(
        None,
        type=["null", "integer"],
        minimum=0,
        title="Send at most, unasked",
        description="More new people than this wait for an approval. Empty: as settings.yaml says.",
    ),
    "max_bad_share": Param(
        None,
        type=["null", "number"],
        minimum=0,
        maximum=1,
        title="Bad rows allowed",
        description="Share of bad rows (0 to 1) above which the run stops before any call. Empty: as settings.yaml"
        " says.",
    ),
}

DEFAULT_ARGS = {
    "owner": "o2o-registration",
    # every task may be repeated safely; a minute outlasts a restart of PostgreSQL
    "retries": 3,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
    # a million rows take minutes; an hour means that something hangs
    "execution_timeout": timedelta(hours=1),
}


def make(client: clients.Client) -> DAG:
    """The DAG of one client."""
    named = client.name != clients.DEFAULT
    with DAG(
        dag_id=client.dag_id,
        description="Registers interested employees with o2o, each exactly once",
        doc_md=__doc__,
        # a bare cron string has intervals without width in Airflow 3
        schedule=CronDataIntervalTimetable(client.schedule, timezone="UTC"),
        # the watermark makes up for runs that were missed, in one run instead of many
        catchup=False,
        # one run may wait for an approval or for o2o; the ordinary trickle goes on beside it
        max_active_runs=4,
        dagrun_timeout=timedelta(hours=26),
        default_args={**DEFAULT_ARGS, "on_failure_callback": o2o_notify.on_failure(client.name)},
        params=PARAMS,
        tags=["o2o", "hr", "registration", *([client.name] if named else [])],
    ) as dag:
        wire(client)
    return dag


def wire(client: clients.Client) -> None:
    """The tasks of one client's DAG, in their order."""
    name = client.name
    # each task logs its numbers as a table; once is enough
    quiet = {"show_return_value_in_logs": False}
    extract = ExtractOperator(
        task_id="extract_interested_employees",
        client=name,
        python_callable=tasks.extract_interested_employees,
        **quiet,
    )
    check = PipelineOperator(task_id="check_quality", client=name, python_callable=tasks.check_quality, **quiet)
    build = PipelineOperator(task_id="build_payloads", client=name, python_callable=tasks.build_payloads, **quiet)
    approve = ApproveLargeBatchOperator(
        task_id="approve_large_batch",
        client=name,
        # the wait for a person has its own limit, in settings.yaml
        execution_timeout=None,
    )
    # one task, or several that share a large batch
    post = O2OUserCreateOperator.partial(
        task_id="post_users",
        client=name,
        http_conn_id=client.api,
        map_index_template="{{ task.shard + 1 }} of {{ task.shards }}",
        # at 50 calls a second this is 1,080,000 people; it ends a minute before, and the next run goes on
        execution_timeout=timedelta(hours=6),
    ).expand_kwargs(approve.output)
    load = PipelineOperator(
        task_id="load_audit",
        client=name,
        python_callable=tasks.load_audit,
        outlets=[tasks.registrations(name), tasks.attention(name)],
        # a rejected batch skips the calls, but the run is settled all the same
        trigger_rule="none_failed",
        **quiet,
    )

    extract >> check >> build >> approve >> post >> load

    for one in (extract, check, build, approve, load):
        one.operator_extra_links = (RunPageLink(),)


# a task's process needs its own DAG alone
for one in clients.served(only=get_parsing_context().dag_id):
    make(one)
