"""The whole stack of one run directory, in the order in which it starts."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import TracebackType

from demo import airflow
from demo.console import Reporter
from demo.errors import AlreadyRunning, DemoError
from demo.layout import AIRFLOW_DATABASE, HOST, HR_WAREHOUSE, O2O_LEDGER, Layout, Ports, Secrets
from demo.postgres import PostgresServer
from demo.processes import Command, ManagedProcess, Record, StopSignal, tail, wait_for
from demo.rest import AirflowApi
from demo.state import StackLock, StackState, stop_leftovers
from demo.supervisor import Supervisor
from demo.warehouse import Filled, Warehouse
from demo.web import HttpError, call


@dataclass(frozen=True)
class StackConfig:
    """`environment` is added to that of Airflow, `simulator_arguments` to the simulator's command."""

    layout: Layout = field(default_factory=Layout)
    ports: Ports = field(default_factory=Ports)
    environment: Mapping[str, str] = field(default_factory=dict)
    simulator_arguments: Sequence[str] = ()
    fsync: bool = True


class Stack:
    """`start` brings everything up or leaves nothing; `stop` ends it. Also a context manager."""

    def __init__(
        self,
        config: StackConfig | None = None,
        reporter: Reporter | None = None,
        stop_signal: StopSignal | None = None,
    ) -> None:
        self.config = config or StackConfig()
        self.layout = self.config.layout
        self.ports = self.config.ports
        self.reporter = reporter or Reporter()
        self.stop_signal = stop_signal or StopSignal()
        self.supervisor = Supervisor(on_change=self._write_state)
        self._lock = StackLock(self.layout.lock_file)
        self._secrets: Secrets | None = None
        self._postgres: PostgresServer | None = None

    @property
    def secrets(self) -> Secrets:
        assert self._secrets is not None, "the stack was not started"
        return self._secrets

    @property
    def postgres(self) -> PostgresServer:
        assert self._postgres is not None, "the stack was not started"
        return self._postgres

    @property
    def warehouse_url(self) -> str:
        return self.postgres.url(HR_WAREHOUSE)

    @property
    def ledger_url(self) -> str:
        return self.postgres.url(O2O_LEDGER)

    @property
    def simulator_url(self) -> str:
        return f"http://{HOST}:{self.ports.simulator}"

    @property
    def airflow_url(self) -> str:
        return airflow.base_url(self.ports)

    @property
    def api(self) -> AirflowApi:
        return AirflowApi(self.airflow_url, airflow.ADMIN, self.secrets.admin_password)

    def start(self) -> None:
        """Raises DemoError or StopRequested, with nothing left running."""
        if not self._lock.acquire():
            raise AlreadyRunning(f"A stack is running in {self.layout.run_dir} already.")
        try:
            self._clear_the_ground()
            self._start_postgres()
            self._start_airflow_and_the_rest()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Airflow's jobs, its API, the simulator, PostgreSQL; about 10 s."""
        self.supervisor.stop(timeout=8.0)
        self.layout.state_file.unlink(missing_ok=True)
        self._lock.release()

    def __enter__(self) -> Stack:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _clear_the_ground(self) -> None:
        leftovers = stop_leftovers(self.layout)
        if leftovers:
            self.reporter.warn(f"Stopped what an earlier run left behind: {', '.join(leftovers)}.")
        self.ports = self.config.ports.resolved()
        self._secrets = Secrets.load(self.layout.secrets_file)
        self._write_state([])

    def _write_state(self, records: Sequence[Record]) -> None:
        StackState(os.getpid(), self.ports, records).write(self.layout.state_file)

    def _start_postgres(self) -> None:
        with self.reporter.step("PostgreSQL"):
            self._postgres = PostgresServer(
                self.layout.postgres,
                self.ports.postgres,
                password=self.secrets.postgres_password,
                fsync=self.config.fsync,
                log=self.layout.log("postgres"),
                stop_signal=self.stop_signal,
            )
            self.supervisor.adopt(self._postgres.process, start=self._postgres.start)
            for database in (HR_WAREHOUSE, O2O_LEDGER, AIRFLOW_DATABASE):
                self._postgres.create_database(database)

    def _start_airflow_and_the_rest(self) -> None:
        env = airflow.environment(self.layout, self.ports, self.secrets, self.postgres)
        env |= self.config.environment
        airflow.write_passwords(self.layout, self.secrets)
        self.layout.task_logs.mkdir(parents=True, exist_ok=True)
        migration = self._begin_migration(env)
        with self.reporter.step("HR warehouse and ledger"):
            filled = self._fill_databases()
        if filled.people:
            self.reporter.line(
                f"  HR has {filled.people} people, {filled.interested} of them interested in a bike; "
                f"{len(filled.defects)} of these rows have a defect"
            )
        with self.reporter.step("o2o simulator"):
            self._start_simulator()
        with self.reporter.step("Airflow") as step:
            self._end_migration(migration, step.update)
            self._start_airflow(env, step.update)

    def _fill_databases(self) -> Filled:
        from o2o_registration.ledger import (
            upgrade,
        )  # brings Alembic, which the other commands need not wait for

        upgrade(self.ledger_url)
        warehouse = Warehouse(self.warehouse_url)
        warehouse.create()
        return warehouse.fill()

    def _start_simulator(self) -> None:
        from o2o_registration.config import load_config

        journal = self.layout.simulator_journal
        journal.parent.mkdir(parents=True, exist_ok=True)
        bike_plans = ",".join(sorted(set(load_config().mapping.bike_plans.values())))
        arguments = (
            *("--port", str(self.ports.simulator), "--journal", str(journal)),
            *("--bike-plans", bike_plans, *self.config.simulator_arguments),
        )
        self.supervisor.start(
            Command(
                name="simulator",
                argv=(sys.executable, "-m", "o2o_simulator", *arguments),
                log=self.layout.log("simulator"),
                env=os.environ
                | {"PYTHONPATH": str(self.layout.include), "O2O_SIMULATOR_TOKEN": self.secrets.o2o_token},
                cwd=self.layout.run_dir,
            )
        )
        self._wait(lambda: _answers(f"{self.simulator_url}/simulator/summary"), 30, "The o2o simulator", "simulator")

    def _begin_migration(self, env: Mapping[str, str]) -> ManagedProcess | None:
        """In the background, for it takes as long as the next steps. None when this version's was done."""
        mark = self._migration_mark
        if mark.exists() and mark.read_text() == metadata.version("apache-airflow-core"):
            return None
        migration = ManagedProcess(airflow.migrate_command(self.layout, env))
        self.supervisor.adopt(migration)
        return migration

    def _end_migration(self, migration: ManagedProcess | None, say: Callable[[str], None]) -> None:
        if migration is None:
            return
        say("setting up its database")
        code = wait_for(lambda: migration.returncode, 300, "Airflow's database", self.stop_signal)
        if code != 0:
            raise DemoError(f"`airflow db migrate` failed:\n{tail(migration.command.log, 20)}")
        self.supervisor.release(migration)
        self._migration_mark.write_text(metadata.version("apache-airflow-core"))

    @property
    def _migration_mark(self) -> Path:
        return self.layout.airflow_home / "migrated"

    def _start_airflow(self, env: Mapping[str, str], say: Callable[[str], None]) -> None:
        self.supervisor.start(airflow.api_server_command(self.layout, env))
        jobs = airflow.job_commands(self.layout, env)
        self.supervisor.start(*jobs)

        def healthy() -> bool | None:
            sick = self.api.sick_parts()
            say("waiting for " + ("the API server" if sick is None else ", ".join(sick) or "nothing more"))
            return True if sick == [] else None

        self._wait(healthy, 180, "Airflow", "api-server", *(job.name for job in jobs))

    def _wait(self, check: Callable[[], bool | None], timeout: float, what: str, *needed: str) -> None:
        wait_for(check, timeout, what, self.stop_signal, needs=[self.supervisor[name] for name in needed])


def _answers(url: str) -> bool | None:
    try:
        call("GET", url)
    except HttpError:
        return None
    return True
