"""What a run may cost: no clock, for machines are noisy, but plans and imports."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from demo.postgres import PostgresServer
from o2o_registration import building, extract, ledger, window
from o2o_registration.config import load_config

from benchmarks import size
from tests.faults.world import HR_TABLE

pytestmark = pytest.mark.integration

INCLUDE = Path(ledger.__file__).parents[2]
IDLE = """
import sys
import sqlalchemy as sa
from datetime import UTC, datetime
from o2o_registration import audit, extract, ledger, window
from o2o_registration.config import load_config
from o2o_registration.outbox import Outbox

config = load_config()
engine = ledger.connect(sys.argv[1])
ledger.check_version(engine)
run = window.plan(window.Request("idle", "scheduled", None, datetime.now(UTC)), None, config.settings.window.lookback)
found = extract.extract(engine, engine, config, run)
assert found.extracted == 0 and not Outbox(engine, config.settings, "idle").has_work()
audit.settle(engine, "idle")
heavy = {"aiohttp", "alembic", "great_expectations", "numpy", "pandas"} & sys.modules.keys()
assert not heavy, heavy
"""


def test_no_statement_of_a_run_reads_a_grown_ledger_from_end_to_end(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("O2O_CONFIG_DIR", str(tmp_path))
    found = size.measure(postgres, tmp_path, [50_000], lambda _: None, runs=1)
    assert not set(found[0].reads_all) & {"registration", "attempt", "audit"}


def test_an_idle_run_imports_nothing_that_only_a_busy_one_needs(ledger_engine: sa.Engine) -> None:
    with ledger_engine.begin() as connection:
        connection.exec_driver_sql(HR_TABLE)
    url = ledger_engine.url.render_as_string(hide_password=False)
    done = subprocess.run(
        [sys.executable, "-c", IDLE, url],
        env={**os.environ, "PYTHONPATH": str(INCLUDE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_building_holds_a_chunk_of_people_at_a_time(
    ledger_engine: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server-side cursor whose rows are fetched all at once looks like streaming and is none."""
    config = load_config()
    small = config.settings.model_copy(update={"window": config.settings.window.model_copy(update={"chunk_rows": 10})})
    sizes: list[int] = []
    monkeypatch.setattr(building.Progress, "add", lambda _, count: sizes.append(count))
    with ledger_engine.begin() as connection:
        connection.exec_driver_sql(HR_TABLE)
        connection.exec_driver_sql("""
            insert into hr.employee
            select 'E' || n, 'P' || n, 'Ann', 'Peeters', 'e' || n || '@example.com', 'nl', 'white_collar', 'ACME', true,
                   now() - interval '1 minute'
            from generate_series(1, 95) as n
        """)
    request = window.Request("chunks", "manual", None, datetime.now(UTC))
    run = window.plan(request, None, config.settings.window.lookback)
    extract.extract(ledger_engine, ledger_engine, config, run)
    building.build(ledger_engine, replace(config, settings=small), run.run_id)
    assert sizes == [95, *[10] * 9, 5]
