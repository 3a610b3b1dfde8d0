"""One scenario's world: an HR warehouse and a ledger in a real PostgreSQL, o2o's simulator, and a clock to move."""

from __future__ import annotations

import contextlib
import random
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import yaml
from demo.postgres import PostgresServer
from o2o_registration import ledger
from o2o_simulator import running_simulator
from o2o_simulator.threaded import RunningSimulator

from tests.faults import steps
from tests.faults.steps import STEPS, Exit, Task

TOKEN = "a-token-of-the-fault-harness"
TEMPLATE = "o2o_faults_template"
CONFIG = Path(__file__).resolve().parents[2] / "include" / "config"
QUICK: dict[str, dict[str, Any]] = {
    "delivery": {
        "concurrency": 16,
        "calls_per_second": 400,
        "connect_seconds": 1,
        "read_seconds": 1,
        "max_wait_seconds": 0,
        "backoff_seconds": 1,
    },
    "fuse": {"max_people": 100_000, "min_people": 50_000},
}
"""The project's settings but for what makes an hour's scenario last an hour."""

HR_TABLE = """
    create schema hr;
    create table hr.employee (
        employee_id text, personnel_number text, first_name text, last_name text, work_email text,
        language_code text, contract_type text, company_code text, bike_interest boolean, changed_at timestamptz);
"""
_PASS = """
    update o2o.attempt set started_at = started_at - :by;
    update o2o.registration set not_before = not_before - :by, created_at = created_at - :by,
        updated_at = updated_at - :by;
    update o2o.delivery_state set wait_until = wait_until - :by;
    update o2o.run_summary set started_at = started_at - :by, settled_at = settled_at - :by,
        checked_at = checked_at - :by, window_since = window_since - :by, window_until = window_until - :by;
    update o2o.watermark set until = until - :by;
    update hr.employee set changed_at = changed_at - :by
"""


@dataclass
class World:
    """Everything of one scenario. Processes of tasks are real, and so is every server they talk to.

    `seconds` is how long the last undisturbed task of each step took.
    """

    postgres: PostgresServer
    url: str
    simulator: RunningSimulator
    dice: random.Random
    folder: Path
    environment: dict[str, str]
    engine: sa.Engine
    expected: set[str] = field(default_factory=set)
    runs: int = 0
    failures: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    deferred: list[Task] = field(default_factory=list)
    sabotage: str | None = None
    broken: list[str] = field(default_factory=list)

    def settings(self, **sections: dict[str, Any]) -> None:
        """The settings file of the tasks that start from now on."""
        merged = {name: {**QUICK.get(name, {}), **sections.get(name, {})} for name in {*QUICK, *sections}}
        (self.folder / "config" / "settings.yaml").write_text(yaml.safe_dump(merged))

    def hire(self, people: int, changed: timedelta = timedelta(seconds=5)) -> list[str]:
        """So many more interested employees with good rows, which changed so long ago. Returns their ids."""
        first = len(self.expected)
        ids = [f"E{first + n}" for n in range(people)]
        with self.engine.begin() as connection:
            connection.execute(
                sa.text("""
                    insert into hr.employee
                    select id, 'P' || id, 'Ann', 'Peeters', id || '@example.com', 'nl', 'white_collar', 'ACME', true,
                           :changed
                    from unnest(cast(:ids as text[])) as id
                """),
                {"ids": ids, "changed": datetime.now(UTC) - changed},
            )
        self.expected.update(ids)
        return ids

    def pass_time(self, seconds: float) -> None:
        """Let so many seconds go by, by moving everything that is dated into the past. No task may be running."""
        with self.engine.begin() as connection:
            for statement in _PASS.split(";"):
                connection.execute(sa.text(statement), {"by": timedelta(seconds=seconds)})

    def new_run(self, kind: str = "scheduled", **options: Any) -> Task:
        """The first task of a run that nobody started yet."""
        self.runs += 1
        run_after = datetime.now(UTC) + timedelta(seconds=1)
        log = str(self.folder / "tasks.log")
        task = Task("extract", f"{kind}-{self.runs}", kind, run_after=run_after, log=log)
        return replace(task, environment=self.environment, sabotage=self.sabotage, **options)

    def run(self, task: Task | None = None, first: str = "extract") -> int:
        """A run from its task `first` on, undisturbed. Returns the exit of its last task."""
        task = task or self.new_run()
        code = int(Exit.SUCCESS)
        for step in STEPS[STEPS.index(first) :]:
            started = time.monotonic()
            code = steps.finish(steps.start(replace(task, step=step, point=None)))
            self.seconds[step] = time.monotonic() - started
            if code == Exit.FAILED:
                self.failures += 1
            if code == Exit.DEFERRED:
                self.deferred.append(task)
            if code != Exit.SUCCESS:
                break
        return code

    def resume(self) -> None:
        """Let tasks that deferred come back."""
        tasks, self.deferred = self.deferred, []
        for task in tasks:
            self.run(replace(task, resumes=True), first="post")

    def drain(self, rounds: int = 15) -> None:
        """Runs and the time between them, until nothing is left that the pipeline would do by itself."""
        for _ in range(rounds):
            self.pass_time(1000)
            self.resume()
            code = self.run()
            if self.deferred:
                continue
            if code == Exit.SUCCESS and not self.query(_UNDONE)[0][0]:
                return
            if code == Exit.SKIPPED:
                return
        self.broken.append(f"work was left after {rounds} runs")

    def query(self, sql: str) -> list[Any]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(sql))]

    def mails(self) -> Counter[str]:
        """E-mails per employee id: the judge."""
        return Counter(str(mail.employee_id) for mail in self.simulator.mailbox)

    def ids(self, status: str) -> set[str]:
        return {row[0] for row in self.query(f"select employee_id from o2o.registration where status = '{status}'")}


_UNDONE = """
    select count(*) from o2o.registration
    where status in ('pending', 'claimed') or status = 'in_doubt' and resends = 0
"""


@contextlib.contextmanager
def world(postgres: PostgresServer, folder: Path, seed: int, latency: float = 0.03) -> Iterator[World]:
    """A world of its own on a shared PostgreSQL; gone afterwards."""
    name = f"faults_{uuid.uuid4().hex[:10]}"
    url = _database(postgres, name)
    place = folder / name
    shutil.copytree(CONFIG, place / "config")
    # the server's default is fast and forgets commits when it is killed; HR's rows must outlive that
    durable = {"options": "-c synchronous_commit=on -c lock_timeout=5s"}
    engine = sa.create_engine(url, pool_pre_ping=True, connect_args=durable)
    with engine.begin() as connection:
        connection.exec_driver_sql(HR_TABLE)
    with running_simulator(TOKEN, base_latency=latency) as simulator:
        environment = steps.environment(url, simulator.url, TOKEN, place / "config", folder / "airflow")
        made = World(postgres, url, simulator, random.Random(seed), place, environment, engine)
        made.settings()
        try:
            yield made
        finally:
            engine.dispose()
            postgres.drop_database(name)


def _database(postgres: PostgresServer, name: str) -> str:
    admin = sa.create_engine(postgres.url(), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        found = connection.scalar(sa.text("select 1 from pg_database where datname = :name"), {"name": TEMPLATE})
        if not found:
            connection.execute(sa.text(f"create database {TEMPLATE}"))
            ledger.upgrade(postgres.url(TEMPLATE))
        connection.execute(sa.text(f"create database {name} template {TEMPLATE}"))
    admin.dispose()
    return postgres.url(name)
