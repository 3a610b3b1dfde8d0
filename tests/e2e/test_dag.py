"""The DAG as Airflow sees it: it loads, says who owns it, and runs under `dag.test()`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from demo.postgres import PostgresServer
from demo.warehouse import Warehouse
from o2o_simulator import running_simulator

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.e2e, pytest.mark.integration]

PROGRAM = """
import json, sys, time
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
dag = bag.dags["o2o_register_interested_employees"]
runs = [dag.test(run_conf=json.loads(conf)) for conf in sys.argv[2:]]
print("REPORT", json.dumps({
    "tags": sorted(dag.tags), "owner": dag.owner, "schedule": str(dag.timetable.expression), "catchup": dag.catchup,
    "doc": bool(dag.doc_md), "tasks": dag.topological_sort() and [t.task_id for t in dag.topological_sort()],
    "retries": sorted({t.retries for t in dag.tasks}), "states": [str(run.state) for run in runs],
    "tis": [{ti.task_id: str(ti.state) for ti in run.get_task_instances()} for run in runs],
}))
"""


def test_the_dag_loads_and_runs_end_to_end(postgres: PostgresServer, ledger_url: str, tmp_path: Path) -> None:
    """`dag.test()`: dry run, then a run that registers the demo people, then an idle one that skips."""
    hr = postgres.create_database("dag_test_hr")
    warehouse = Warehouse(hr)
    warehouse.create()
    warehouse.fill()
    with running_simulator("token") as simulator:
        port = int(simulator.url.rsplit(":", 1)[1])
        environment = airflow_environment(postgres, tmp_path, hr, ledger_url, port)
        run([sys.executable, "-m", "airflow", "db", "migrate"], environment)
        confs = [json.dumps({"dry_run": dry_run}) for dry_run in (True, False, False)]
        output = run([sys.executable, "-c", PROGRAM, str(ROOT / "dags"), *confs], environment)
        mailed = [mail.to for mail in simulator.mailbox]
    report = json.loads(next(line for line in output.splitlines() if line.startswith("REPORT "))[7:])
    assert report["states"] == ["success"] * 3, output[-3000:]
    assert report["tags"] == ["hr", "o2o", "registration"]
    assert (report["owner"], report["schedule"], report["catchup"]) == ("o2o-registration", "*/5 * * * *", False)
    assert report["tasks"] == [
        "extract_interested_employees",
        "check_quality",
        "build_payloads",
        "approve_large_batch",
        "post_users",
        "load_audit",
    ]
    assert set(report["tis"][2].values()) == {"success", "skipped"}
    assert len(mailed) == len(set(mailed)) == 47
    engine = sa.create_engine(ledger_url)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("select count(*) from o2o.audit where event = 'created'")) == 47
    engine.dispose()
    for address in mailed:
        assert address not in output


def airflow_environment(
    postgres: PostgresServer, home: Path, hr: str, ledger: str, port: int, database: str = "dag_test_airflow"
) -> dict[str, str]:
    def connection(url: str) -> str:
        parsed = sa.make_url(url)
        return json.dumps(
            {
                "conn_type": "postgres",
                "host": parsed.host,
                "port": parsed.port,
                "login": parsed.username,
                "password": parsed.password,
                "schema": parsed.database,
            }
        )

    metadata = postgres.create_database(database)
    api = {"conn_type": "http", "schema": "http", "host": "127.0.0.1", "port": port, "password": "token"}
    return {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": metadata,
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "GX_ANALYTICS_ENABLED": "False",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "include"), str(ROOT / "plugins")]),
        "AIRFLOW_CONN_HR_WAREHOUSE": connection(hr),
        "AIRFLOW_CONN_O2O_LEDGER": connection(ledger),
        "AIRFLOW_CONN_O2O_API": json.dumps(api),
    }


def run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout + done.stderr
