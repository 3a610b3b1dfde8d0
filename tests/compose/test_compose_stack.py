"""docker-compose.yaml carried out: two Celery workers share 20,000 people, and one of them dies in the middle."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from demo.rest import AirflowApi
from demo.web import call
from playwright.sync_api import expect

from tests.compose.composefile import PROJECT
from tests.compose.machine import Machine
from tests.e2e.browser import logged_in, needs_chromium

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

DAG = "o2o_register_interested_employees"
RUNBOOK = PROJECT / "docs" / "runbook.md"
MANUAL = PROJECT / "docs" / "deploy.md"
LEDGER = "o2o_ledger_demo"
PEOPLE = 20_000
SETTINGS: dict[str, dict[str, Any]] = {
    "delivery": {"calls_per_second": 800, "concurrency": 32},
    "fuse": {"max_people": 100_000, "min_people": 50_000},
    "in_doubt": {"policy": "hold"},
}
_HIRE = """
    insert into hr.employee
    select 'C' || n, 'P' || n, 'Ann', 'Peeters', 'c' || n || '@acme.example', 'nl', 'white_collar', 'ACME', true, now()
    from generate_series(1, :people) as n
"""


class Company:
    """The running services, and what a person could look at."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        password = (machine.secrets / "admin_password").read_text()
        self.api = AirflowApi(f"http://127.0.0.1:{machine.ports['api-server']}", "admin", password)
        self.warehouse = sa.create_engine(machine.databases["demo-warehouse"].url("hr_warehouse"))
        self.ledger_url = machine.databases["postgres"].url(LEDGER)
        self.ledger = sa.create_engine(self.ledger_url)

    def hire(self, people: int) -> None:
        with self.warehouse.begin() as connection:
            connection.execute(sa.text(_HIRE), {"people": people})

    def ids(self, status: str) -> set[str]:
        with self.ledger.connect() as connection:
            query = sa.text("select employee_id from o2o.registration where status = :status")
            return set(connection.scalars(query, {"status": status}))

    def mails(self) -> Counter[str]:
        """E-mails per employee id, from the simulator's journal: the judge."""
        journal = self.machine.folder / "volumes" / "simulator" / "journal.jsonl"
        lines = journal.read_text().splitlines(keepends=True) if journal.exists() else []
        # the last line may still be being written
        events = (json.loads(line) for line in lines if line.endswith("\n"))
        return Counter(str(one["partner_EmployeeID"]) for one in events if one["event"] == "mail")

    def run(self, conf: dict[str, object] | None = None) -> str:
        """Trigger and wait for a success."""
        run = self.api.trigger(DAG, conf)
        assert self.ended(run) == "success"
        return run

    def large_run(self) -> str | None:
        """The run whose batch is shared."""
        return next((run for run in self.api.active_runs(DAG) if len(self.shards(run)) > 1), None)

    def shards(self, run: str) -> list[Any]:
        return [one for one in self.api.tasks(DAG, run) if one.task_id == "post_users" and one.map_index >= 0]

    def workers_of(self, run: str) -> set[str]:
        """The workers in whose logs a `post_users` of the run began."""
        begun = f"Executing workload.*{re.escape(run)}/task_id=post_users/map_index="
        return {name for name in ("worker-1", "worker-2") if re.search(begun, self.machine.log(name))}

    def decide(self, order: str, ids: set[str]) -> None:
        """By the command line in a container, as the runbook says."""
        if ids:
            command = f"python -m o2o_ledgers {order} {' '.join(sorted(ids))} --why 'asked o2o' --who anna"
            self.machine.execute("scheduler", command)

    def until(self, condition: Callable[[], Any], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
            time.sleep(0.5)

    def paused(self) -> list[bool]:
        found = [self.api.schedule(dag) for dag in (DAG, "o2o_maintenance")]
        return [one.paused for one in found if one]

    def ended(self, run: str, seconds: float = 300) -> str:
        self.until(lambda: self.api.run_state(DAG, run) in ("success", "failed"), seconds)
        return self.api.run_state(DAG, run)

    def close(self) -> None:
        self.warehouse.dispose()
        self.ledger.dispose()


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    folder = tmp_path_factory.mktemp("compose")
    for parent in (folder, folder.parent, folder.parent.parent):
        parent.chmod(0o755)  # PostgreSQL runs as nobody
    config = folder / "config"
    shutil.copytree(PROJECT / "include" / "config", config)
    settings = yaml.safe_load((config / "settings.yaml").read_text())
    changed = {name: {**section, **SETTINGS.get(name, {})} for name, section in settings.items()}
    (config / "settings.yaml").write_text(yaml.safe_dump(changed))
    variables = {
        "O2O_CONFIG_DIR": str(config),
        "AIRFLOW_BASE_URL": "http://api-server:8080",
        "API_WORKERS": "1",
        "WORKER_CONCURRENCY": "2",
        "HEARTBEAT_TIMEOUT": "15",
        "O2O_ALLOWED_HOSTS": "simulator",
    }
    with Machine(folder, variables) as machine:
        machine.run("secrets")
        machine.up(profile="demo", workers=2)
        machine.until_healthy("api-server")
        company = Company(machine)
        company.until(lambda: company.api.schedule(DAG))
        yield company
        company.close()


def test_each_service_is_healthy(company: Company) -> None:
    for name, service in company.machine.services.items():
        if service.health and name != "worker":
            company.machine.until_healthy(name)
    for number in (1, 2):
        company.machine.until_healthy("worker", f"worker-{number}")


def test_a_second_start_changes_nothing(company: Company) -> None:
    """Secrets, databases and the first person are there."""
    company.machine.run("secrets")
    company.machine.run("migrations")
    assert "nothing was changed" in company.machine.log("secrets")


def test_the_page_is_behind_the_companys_login(company: Company) -> None:
    url = company.api.url
    token = call("POST", f"{url}/auth/token", company.api._login)["access_token"]
    found = call("GET", f"{url}/o2o/api/overview", None, token)
    assert found
    with pytest.raises(Exception, match=r"40[13]"):
        call("GET", f"{url}/o2o/api/overview")


@pytest.mark.browser
@needs_chromium
def test_the_page_opens_after_the_companys_login(company: Company) -> None:
    """In a browser: a link to it leads to FAB's form, and from there back to it."""
    password = (company.machine.secrets / "admin_password").read_text()
    with logged_in(f"{company.api.url}/o2o/", "admin", password) as page:
        assert page.url == f"{company.api.url}/o2o/"
        expect(page.locator("#funnel .card")).to_have_count(4)
        page.screenshot(path=company.machine.folder / "page.png")
        page.goto(f"{company.api.url}/dags/{DAG}")
        page.get_by_text(DAG).first.wait_for()


def test_the_way_to_the_real_thing_is_as_the_manual_says(company: Company) -> None:
    """Pause, a dry run of the paused DAG, and both DAGs on; nobody is called before that."""
    typed = re.findall(r"^ *docker compose exec (\S+) (airflow dags .*)$", MANUAL.read_text(), re.M)
    assert [line.split()[2] for _, line in typed] == ["pause", "pause", "test", "unpause", "unpause"]
    said = [company.machine.execute(service, line) for service, line in typed[:3]]
    assert "Would be sent" in said[2]
    assert company.paused() == [True, True]
    assert not company.mails()
    for service, line in typed[3:]:
        company.machine.execute(service, line)
    assert company.paused() == [False, False]


def test_the_runbooks_commands_are_typed_in_a_container(company: Company) -> None:
    """Where Airflow alone knows the ledger's address; and the ledger is backed up."""
    typed = re.findall(r"^docker compose exec (\S+) (python .*)$", RUNBOOK.read_text(), re.M)
    (said,) = (company.machine.execute(*one) for one in typed)
    assert said.endswith("0 people held\n"), said
    ((service, line),) = re.findall(r"^docker compose exec -T (\S+) (pg_dump .*) > ", MANUAL.read_text(), re.M)
    # Docker's PostgreSQL trusts whoever is in its container; the demo's ledger is another than the real one
    password, demo = (company.machine.secrets / "ledger_password").read_text(), line.replace("o2o_ledger", LEDGER)
    assert "PGDMP" in company.machine.execute(service, f"PGPASSWORD={password} {demo} | head --bytes=5")


def test_two_workers_share_a_large_batch_and_one_dies(company: Company) -> None:
    """Shards on both, each person mailed once; whom the dead worker left in doubt is decided by a person."""
    company.hire(PEOPLE)
    company.api.unpause(DAG)
    # whichever run comes first takes them: this one, or one by the schedule
    company.api.trigger(DAG)
    company.until(company.large_run)
    run = company.large_run()
    assert run
    assert len(company.shards(run)) == 4
    company.until(lambda: len(company.ids("created")) > 4_000)
    assert company.workers_of(run) == {"worker-1", "worker-2"}
    company.machine.kill("worker-2")
    assert company.ended(run) == "success"
    assert any(one.try_number > 1 for one in company.shards(run))

    doubtful, mails = company.ids("in_doubt"), company.mails()
    assert len(doubtful) <= SETTINGS["delivery"]["concurrency"]
    sound = {f"C{n}" for n in range(1, PEOPLE + 1)}
    assert {mails[one] for one in sound - doubtful} == {1}
    company.decide("confirm", {one for one in doubtful if mails[one]})
    company.decide("release", {one for one in doubtful if not mails[one]})
    company.run()
    mails = company.mails()
    assert {mails[one] for one in sound} == {1}
    assert max(mails.values()) == 1
    assert company.ids("in_doubt") == company.ids("claimed") == company.ids("pending") == set()


def test_old_runs_and_logs_are_deleted_as_the_manual_says(company: Company) -> None:
    """With what somebody typed into the trigger form; those of today stay."""
    lines = re.findall(r"^docker compose exec -T (\S+) ((?:airflow|find) .*)$", MANUAL.read_text(), re.M)
    assert [line.split()[0] for _, line in lines] == ["airflow", "find"]
    company.api.unpause(DAG)
    runs = {age: company.run({"dry_run": True, "employee_ids": [f"nobody {age}"]}) for age in ("old", "young")}
    airflow = sa.create_engine(company.machine.databases["postgres"].url("airflow"))
    logs = {age: company.machine.folder / "volumes" / "logs" / f"{age}.log" for age in runs}
    with airflow.begin() as connection:
        for age, days in (("old", 91), ("young", 89)):
            logs[age].write_text("what was said")
            os.utime(logs[age], (time.time() - days * 86_400,) * 2)
            query = "update dag_run set start_date = now() - make_interval(days => :days) where run_id = :run"
            connection.execute(sa.text(query), {"days": days, "run": runs[age]})
    for service, line in lines:
        company.machine.execute(service, line)
    with airflow.connect() as connection:
        left = connection.scalars(sa.text("select conf::text from dag_run where conf::text like '%nobody%'")).all()
    airflow.dispose()
    assert [conf for conf in left if "nobody old" in conf] == []
    assert len(left) == 1
    assert {age: file.exists() for age, file in logs.items()} == {"old": False, "young": True}


def test_no_secret_is_in_a_log(company: Company) -> None:
    secrets = [
        file.read_text().strip()
        for file in company.machine.secrets.iterdir()
        if file.is_file() and "certificate" not in file.name
    ]
    logs = [*company.machine.folder.glob("*.log"), *(company.machine.folder / "volumes" / "logs").rglob("*.log")]
    assert len(logs) > 10
    for log in logs:
        text = log.read_text(errors="replace")
        assert not [one for one in secrets if one in text], log
        assert not re.search(r"[\w.]+@(acme|globex|initech)\.example", text), log
