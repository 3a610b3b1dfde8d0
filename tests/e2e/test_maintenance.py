"""The maintenance DAG in Airflow: it loads, forgets, erases whom the trigger form names, and logs nobody's data."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from demo.postgres import PostgresServer
from demo.warehouse import Warehouse
from o2o_simulator import running_simulator

from tests.e2e.test_dag import ROOT, airflow_environment, run

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

PROGRAM = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
runs = []
for step in sys.argv[2:]:
    dag_id, conf = json.loads(step)
    runs.append(bag.dags[dag_id].test(run_conf=conf))
dag = bag.dags["o2o_maintenance"]
print("REPORT", json.dumps({
    "owner": dag.owner, "tags": sorted(dag.tags), "schedule": str(dag.timetable.expression), "doc": bool(dag.doc_md),
    "catchup": dag.catchup,
    "states": [str(run.state) for run in runs],
    "tis": [{ti.task_id: str(ti.state) for ti in run.get_task_instances()} for run in runs],
}))
"""
REGISTER, MAINTAIN = "o2o_register_interested_employees", "o2o_maintenance"
AGE = """
    update o2o.registration set updated_at = updated_at - interval '100 days';
    update o2o.attempt set closed_at = closed_at - interval '100 days'
"""


def steps(*conf: tuple[str, dict[str, object]]) -> list[str]:
    return [json.dumps(one) for one in conf]


def test_the_maintenance_forgets_and_the_registration_calls_nobody_again(
    postgres: PostgresServer, ledger_url: str, tmp_path: Path
) -> None:
    """Register; a dry night, a real one that also erases one person; then the registration once more."""
    hr = postgres.create_database("maintenance_test_hr")
    warehouse = Warehouse(hr)
    warehouse.create()
    warehouse.fill()
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "ancient.html").write_text("counts")
    os.utime(docs / "ancient.html", (time.time() - 40 * 86_400,) * 2)
    with running_simulator("token") as simulator:
        port = int(simulator.url.rsplit(":", 1)[1])
        environment = airflow_environment(postgres, tmp_path, hr, ledger_url, port, "maintenance_test_airflow")
        environment["O2O_DATA_DOCS_DIR"] = str(docs)
        environment["AIRFLOW_CONN_O2O_PRIVACY"] = json.dumps({"conn_type": "generic", "password": "k" * 40})
        run([sys.executable, "-m", "airflow", "db", "migrate"], environment)
        program = [sys.executable, "-c", PROGRAM, str(ROOT / "dags")]
        run([*program, *steps((REGISTER, {}))], environment)
        mailed = [mail.to for mail in simulator.mailbox]
        engine = sa.create_engine(ledger_url)
        with engine.begin() as connection:
            erased = connection.scalar(sa.text("select min(employee_id) from o2o.registration"))
            for statement in AGE.split(";"):
                connection.execute(sa.text(statement))
        erase = {"erase": [erased], "why": "asked by letter"}
        # in one process, dag.test() keeps the params of the run before
        dry, real = {**erase, "dry_run": True}, {**erase, "dry_run": False}
        nights = steps((MAINTAIN, dry), (MAINTAIN, real), (REGISTER, {"dry_run": False}))
        output = run([*program, *nights], environment)
        assert [mail.to for mail in simulator.mailbox] == mailed
    report = json.loads(next(line for line in output.splitlines() if line.startswith("REPORT "))[7:])
    assert report["states"] == ["success"] * 3, output[-3000:]
    assert (report["owner"], report["tags"]) == ("o2o-registration", ["hr", "o2o", "privacy"])
    assert (report["schedule"], report["catchup"], report["doc"]) == ("30 2 * * *", False, True)
    first, night = report["tis"][:2]
    assert first == {"erase_people": "skipped", "forget_old_data": "success", "delete_data_docs": "success"}
    assert set(night.values()) == {"success"}
    assert not (docs / "ancient.html").exists()
    with engine.connect() as connection:
        held = connection.scalar(sa.text("select count(*) from o2o.registration where payload <> '{}'"))
        facts = connection.execute(
            sa.text("select event, actor, detail from o2o.audit where employee_id like 'pseudonym:%' order by id")
        ).all()
    engine.dispose()
    assert held == 0
    assert [row[0] for row in facts] == ["created", "erased"]
    assert facts[1].detail == "asked by letter"
    assert "Forgotten" in output
    for address in mailed:
        assert address not in output
