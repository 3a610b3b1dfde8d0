"""What the ledger's queries cost as it grows: a run of 200 new people with up to ten million registrations present."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from demo.postgres import PostgresServer
from o2o_registration import building, checking, extract, fuse, ledger, window
from o2o_registration.answers import Answer, Outcome
from o2o_registration.config import load_config
from o2o_registration.outbox import Outbox, Result

from benchmarks.post import settings
from tests.faults.world import HR_TABLE

PEOPLE = 200
_FILL = """
    insert into o2o.registration (employee_id, status, email_key, payload, fingerprint, run_id, created_at, attempt_id)
    select 'OLD' || n, 'created', 'old' || n, jsonb_build_object('user', jsonb_build_object(
               'Email', 'old' || n || '@example.com', 'FirstName', 'Ann', 'LastName', 'Peeters', 'Language', 'NL',
               'BikePlanCode', 'ACME-2026', 'ContractType', 'clerk', 'PersonnelNumber', 'P' || n,
               'partner_EmployeeID', 'OLD' || n)), 'f', 'old', now() - interval '1 day', n
    from generate_series(1, :n) as n
"""
_FILL_ATTEMPTS = """
    insert into o2o.attempt (employee_id, run_id, kind, closed_at, outcome, audited)
    select 'OLD' || n, 'old', 'first', now(), 'created', true from generate_series(1, :n) as n
"""
_READS_ALL = re.compile(r"Seq Scan on (registration|attempt|quarantine|audit)\b")


@dataclass
class Cost:
    """Milliseconds by step, the medians of several runs; `reads_all` names tables that a plan reads from end to end."""

    registrations: int
    milliseconds: dict[str, float]
    reads_all: list[str] = field(default_factory=list)


def measure(
    postgres: PostgresServer, folder: Path, sizes: list[int], say: Callable[[Cost], None], runs: int = 5
) -> list[Cost]:
    """The same run of new people in a ledger of each size, the smallest first."""
    name = "bench_size"
    postgres.drop_database(name)
    postgres.create_database(name)
    url = postgres.url(name)
    ledger.upgrade(url)
    engine = ledger.connect(url)
    os.environ["O2O_CONFIG_DIR"] = str(settings(folder, concurrency=64))
    with engine.begin() as connection:
        connection.exec_driver_sql(HR_TABLE)
    found, present = [], 0
    for size in sizes:
        _grow(engine, size - present)
        present = size
        taken = [_run(engine, f"{size}-{number}") for number in range(runs)]
        middle = {step: sorted(one[step] for one in taken)[runs // 2] for step in taken[0]}
        found.append(Cost(size, middle, _plans(engine, f"{size}-plans")))
        say(found[-1])
    engine.dispose()
    postgres.drop_database(name)
    return found


def _grow(engine: sa.Engine, by: int) -> None:
    with engine.begin() as connection:
        low = connection.scalar(sa.text("select count(*) from o2o.registration")) or 0
        for statement in (_FILL, _FILL_ATTEMPTS):
            text = statement.replace("generate_series(1, :n)", "generate_series(cast(:low as int) + 1, :low + :n)")
            connection.execute(sa.text(text), {"n": by, "low": low})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("vacuum analyze o2o.registration"))
        connection.execute(sa.text("vacuum analyze o2o.attempt"))


def _run(engine: sa.Engine, run_id: str) -> dict[str, float]:
    """One run's steps over new people, without the calls."""
    config = load_config()
    with engine.begin() as connection:
        connection.execute(sa.text("delete from hr.employee"))
        connection.execute(
            sa.text("""
                insert into hr.employee
                select :run || n, 'P' || n, 'Ann', 'Peeters', :run || n || '@example.com', 'nl', 'white_collar', 'ACME',
                       true, now() - interval '1 minute'
                from generate_series(1, :people) as n
            """),
            {"run": run_id, "people": PEOPLE},
        )
        now = connection.execute(sa.text("select clock_timestamp()")).scalar_one()
    run = window.plan(window.Request(run_id, "manual", None, now), None, config.settings.window.lookback)
    outbox = Outbox(engine, config.settings, run_id)
    intents: list[Any] = []
    steps: dict[str, Callable[[], Any]] = {
        "extract, dedup": lambda: extract.extract(engine, engine, config, run),
        "check": lambda: checking.check(engine, config, run_id),
        "build": lambda: building.build(engine, config, run_id),
        "weigh": lambda: fuse.weigh(engine, config.settings.fuse, run_id),
        "claim": lambda: intents.extend(outbox.claim(PEOPLE).intents),
        "record": lambda: outbox.record([Result(one.attempt_id, _CREATED) for one in intents]),
        "recover": outbox.recover,
    }
    taken = {}
    for name, step in steps.items():
        started = time.perf_counter()
        step()
        taken[name] = (time.perf_counter() - started) * 1000
    return taken


_CREATED = Answer(Outcome.CREATED, "HTTP 201: User was created.", 201, '{"success": true}', milliseconds=50)


def _plans(engine: sa.Engine, run_id: str) -> list[str]:
    """Tables that PostgreSQL would read from end to end in any statement of a run, as EXPLAIN says just before it."""
    found: set[str] = set()

    def explain(connection: sa.Connection, _: Any, statement: str, parameters: Any, *__: Any) -> None:
        if "o2o." not in statement or not re.match(r"\s*(select|with|insert|update|delete)", statement):
            return
        driver = connection.connection.driver_connection
        assert driver is not None
        with driver.cursor() as cursor:
            cursor.execute("explain " + statement, parameters)
            found.update(table for row in cursor.fetchall() for table in _READS_ALL.findall(row[0]))

    sa.event.listen(engine, "before_cursor_execute", explain)
    try:
        _run(engine, run_id)
    finally:
        sa.event.remove(engine, "before_cursor_execute", explain)
    return sorted(found)
