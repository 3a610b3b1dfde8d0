"""Calls per second: the operator beside a bare aiohttp loop and beside `HttpHook.run`, at several latencies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
import yaml
from demo.postgres import PostgresServer
from o2o_registration import ledger

from benchmarks.contenders import payload
from benchmarks.server import lean_server
from tests.faults.steps import environment
from tests.faults.world import CONFIG

ROOT = Path(__file__).resolve().parents[1]
OTHERS = ("dlt", "dlt_tuned", "drt")
"""Measured at 50 ms alone: what they lack is calls in flight, not speed."""
LATENCIES = (0.0, 0.02, 0.05, 0.2)
CONCURRENCIES = (1, 4, 16, 64, 256)


@dataclass(frozen=True)
class Measured:
    """One process's work: `rate` in calls a second, `peak` in MB."""

    who: str
    latency: float
    concurrency: int
    people: int
    seconds: float
    peak: float

    @property
    def rate(self) -> float:
        return self.people / self.seconds


class Bench:
    """A PostgreSQL, and a ledger made anew for each measurement. `python` is the one that has dlt and drt."""

    def __init__(self, postgres: PostgresServer, folder: Path, python: str) -> None:
        self._postgres, self._folder, self._python = postgres, folder, python

    def run(self, who: str, latency: float, concurrency: int, people: int) -> Measured:
        """One contender against a server of its own. Raises CalledProcessError with the process's own words."""
        name = "bench"
        self._postgres.drop_database(name)
        self._postgres.create_database(name)
        ledger_url = self._postgres.url(name)
        if who == "operator":
            _fill(ledger_url, people)
        config = settings(self._folder, concurrency)
        with lean_server(latency) as url:
            variables = environment(ledger_url, url, "token", config, self._folder / "airflow")
            paths = os.pathsep.join(str(ROOT / part) for part in ("include", "plugins", ""))
            program = (
                (self._python, "-m", "benchmarks.others")
                if who in OTHERS
                else (sys.executable, "-m", "benchmarks.contenders")
            )
            command = [*program, who, url, str(people), str(concurrency)]
            done = subprocess.run(
                command,
                env={**os.environ, **variables, "PYTHONPATH": paths},
                cwd=ROOT,
                check=True,
                stdout=subprocess.PIPE,
            )
        found = json.loads(done.stdout.splitlines()[-1])
        return Measured(who, latency, concurrency, people, found["seconds"], found["peak_mb"])


def settings(folder: Path, concurrency: int) -> Path:
    """A folder with the project's settings, but for a rate limit that would be all we measure."""
    config = folder / "config"
    config.mkdir(exist_ok=True)
    for file in CONFIG.iterdir():
        (config / file.name).write_bytes(file.read_bytes())
    path = config / "settings.yaml"
    found = yaml.safe_load(path.read_text())
    found["delivery"] |= {"concurrency": concurrency, "calls_per_second": 100_000}
    path.write_text(yaml.safe_dump(found))
    return config


def _fill(url: str, people: int) -> None:
    """So many pending registrations, with the payloads that the other contenders send."""
    ledger.upgrade(url)
    engine = sa.create_engine(url)
    columns = "employee_id, status, email_key, payload, fingerprint, run_id, passed_fuse"
    with engine.begin() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        with driver.cursor() as cursor, cursor.copy(f"copy o2o.registration ({columns}) from stdin") as copy:
            for n in range(people):
                copy.write_row((f"E{n}", "pending", f"key{n}", json.dumps(payload(n)), "f", "bench", True))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("vacuum analyze o2o.registration"))
    engine.dispose()


def _others(latency: float, people: int, alone: int) -> list[tuple[str, int]]:
    return [] if latency != 0.05 else [("drt", alone), ("dlt", alone), ("dlt_tuned", people // 3)]


def latencies(bench: Bench, seconds: float, say: Callable[[Measured], None]) -> list[Measured]:
    """Each contender at each latency, about `seconds` each, the two that are compared most one after the other."""
    found = []
    for latency in LATENCIES:
        people = int(seconds * min(5000, 64 / max(latency, 0.001)))
        alone = max(10, int(seconds / (latency + 0.01)))
        for who, count in (("bare", people), ("operator", people), ("hook", alone), *_others(latency, people, alone)):
            found.append(bench.run(who, latency, 64, count))
            say(found[-1])
    return found


def concurrencies(bench: Bench, seconds: float, say: Callable[[Measured], None]) -> list[Measured]:
    """The operator and the bare loop at 50 ms, from one call at a time to 256."""
    found = []
    for concurrency in CONCURRENCIES:
        people = int(seconds * min(3000, concurrency / 0.05))
        for who in ("bare", "operator"):
            found.append(bench.run(who, 0.05, concurrency, people))
            say(found[-1])
    return found
