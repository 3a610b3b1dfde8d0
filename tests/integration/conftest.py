"""An HR warehouse, a simulator of o2o, and the pipeline's steps run one after the other as the DAG does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa
from demo.postgres import PostgresServer
from o2o_registration import audit, building, checking, extract, fuse, window
from o2o_registration.config import Config
from o2o_registration.delivery import Delivered, Delivery, deliver
from o2o_registration.outbox import Outbox
from o2o_simulator import USER_CREATE_PATH, running_simulator

TOKEN = "a-token-that-must-not-leak"
COLUMNS = (
    "employee_id, personnel_number, first_name, last_name, work_email, language_code, contract_type, company_code,"
    " bike_interest, changed_at"
)


@pytest.fixture(scope="module")
def airflow_imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where the files that it makes go to a folder of the tests; plugins' modules need it to be there first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
        import airflow.sdk  # noqa: F401


@pytest.fixture
def warehouse(postgres: PostgresServer, ledger_url: str) -> Iterator[sa.Engine]:
    """The demo's HR table, empty, beside the ledger."""
    engine = sa.create_engine(ledger_url)
    with engine.begin() as connection:
        connection.execute(sa.text("create schema hr"))
        connection.execute(
            sa.text("""
                create table hr.employee (
                    employee_id text, personnel_number text, first_name text, last_name text, work_email text,
                    language_code text, contract_type text, company_code text, bike_interest boolean,
                    changed_at timestamptz)
            """)
        )
    yield engine
    engine.dispose()


@pytest.fixture
def simulator() -> Iterator[Any]:
    with running_simulator(TOKEN) as running:
        yield running


@dataclass
class Pipeline:
    """The DAG's tasks over one warehouse, one ledger and one simulator."""

    warehouse: sa.Engine
    ledger: sa.Engine
    config: Config
    simulator: Any
    token: str = TOKEN
    url: str | None = None
    runs: int = 0
    key: str | None = None
    last: Delivered | None = field(default=None)
    on_start: Callable[[Delivery], None] = field(default=lambda _: None)

    def settings(self, section: str, **values: Any) -> None:
        """Change settings for what follows."""
        changed = getattr(self.config.settings, section).model_copy(update=values)
        self.config = replace(self.config, settings=self.config.settings.model_copy(update={section: changed}))

    def plans(self, **companies: str) -> None:
        """Give more companies a bike plan in the mapping."""
        mapping = self.config.mapping
        changed = {**mapping.model_dump(), "bike_plans": {**mapping.bike_plans, **companies}}
        self.config = replace(self.config, mapping=type(mapping).model_validate(changed))

    def hire(self, *people: dict[str, Any]) -> None:
        """Add HR rows; what is not named is a good row's."""
        with self.warehouse.begin() as connection:
            for person in people:
                connection.execute(
                    sa.text(f"insert into hr.employee ({COLUMNS}) values (:{COLUMNS.replace(', ', ', :')})"), person
                )

    def mend(self, employee_id: str, **columns: Any) -> None:
        """Change an HR row, and its date of change with it."""
        changes = ", ".join(f"{name} = :{name}" for name in columns)
        with self.warehouse.begin() as connection:
            connection.execute(
                sa.text(f"update hr.employee set {changes}, changed_at = now() where employee_id = :employee_id"),
                {**columns, "employee_id": employee_id},
            )

    def run(self, **request: Any) -> audit.Summary:
        """One run of the whole pipeline; keyword arguments as the trigger form has them.

        A run whose fuse asks a person stops there, unsettled, as it would in Airflow.
        """
        run = self.read(**request)
        checking.check(self.ledger, self.config, run.run_id)
        building.build(self.ledger, self.config, run.run_id, run.dry_run, self.key)
        if not run.dry_run:
            if fuse.weigh(self.ledger, self.config.settings.fuse, run.run_id).asks:
                with self.ledger.connect() as connection:
                    return audit.read_summary(connection, run.run_id)
            self.last = self.post(run)
        audit.load(self.ledger)
        return audit.settle(self.ledger, run.run_id)

    def read(self, **request: Any) -> window.Run:
        self.runs += 1
        with self.ledger.connect() as connection:
            reached = window.read_watermark(connection)
        now = datetime.now(UTC) + timedelta(seconds=1)
        asked = window.Request(
            **{"run_id": f"run-{self.runs}", "kind": "manual", "interval": None, "run_after": now, **request}
        )
        run = window.plan(asked, reached, self.config.settings.window.lookback)
        extract.extract(self.warehouse, self.ledger, self.config, run, self.key)
        return run

    def post(self, run: window.Run) -> Delivered:
        outbox = Outbox(self.ledger, self.config.settings, run.run_id, run.employee_ids)

        @asynccontextmanager
        async def sender() -> Any:
            async with aiohttp.ClientSession() as session:

                async def send(body: str) -> aiohttp.ClientResponse:
                    return await session.post(
                        (self.url or self.simulator.url) + USER_CREATE_PATH,
                        data=body,
                        headers={"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"},
                        allow_redirects=False,
                    )

                yield send
                await asyncio.sleep(0)

        return deliver(outbox, sender, self.config.settings, self.on_start)

    def statuses(self) -> dict[str, str]:
        return dict(self.query("select employee_id, status from o2o.registration"))

    def query(self, sql: str) -> list[Any]:
        with self.ledger.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(sql))]

    def mails(self) -> list[tuple[str, str]]:
        """(employee id, subject) of every e-mail, in order."""
        return [(mail.employee_id, str(mail.subject)) for mail in self.simulator.mailbox]


def person(number: int | str, **columns: Any) -> dict[str, Any]:
    """A good HR row, which changed a minute ago."""
    return {
        "employee_id": f"E{number}",
        "personnel_number": f"P{number}",
        "first_name": "Zoë",
        "last_name": "Janssens",
        "work_email": f"e{number}@Example.COM",
        "language_code": "nl",
        "contract_type": "white_collar",
        "company_code": "ACME",
        "bike_interest": True,
        "changed_at": datetime.now(UTC) - timedelta(minutes=1),
        **columns,
    }


@pytest.fixture
def pipeline(warehouse: sa.Engine, ledger_engine: sa.Engine, config: Config, simulator: Any) -> Pipeline:
    made = Pipeline(warehouse, ledger_engine, config, simulator)
    made.settings("delivery", calls_per_second=2000.0, read_seconds=1.0, connect_seconds=1.0, max_wait_seconds=3.0)
    return made
