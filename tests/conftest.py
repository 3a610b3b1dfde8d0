"""What all tests share: a real PostgreSQL, an empty ledger and an HR warehouse for each test that asks."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

os.environ["GX_ANALYTICS_ENABLED"] = "False"

import pytest
import sqlalchemy as sa
from demo.postgres import PostgresServer
from o2o_registration import ledger
from o2o_registration.config import Config, load_config

TEMPLATE = "o2o_template"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests, durability off."""
    with tempfile.TemporaryDirectory(prefix="o2o-tests-") as folder:
        Path(folder).chmod(0o755)
        server = PostgresServer(Path(folder) / "postgres", fsync=False)
        with server:
            yield server
        server.destroy()


@pytest.fixture(scope="session")
def ledger_template(postgres: PostgresServer) -> str:
    """A database at the newest revision, copied for each test: migrating takes longer."""
    ledger.upgrade(postgres.create_database(TEMPLATE))
    return TEMPLATE


@pytest.fixture
def ledger_url(postgres: PostgresServer, ledger_template: str) -> Iterator[str]:
    """The URL of an empty ledger of the test's own."""
    name = f"ledger_{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(postgres.url(), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"create database {name} template {ledger_template}"))
    admin.dispose()
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture
def ledger_engine(ledger_url: str) -> Iterator[sa.Engine]:
    engine = ledger.connect(ledger_url)
    yield engine
    engine.dispose()


@pytest.fixture
def config() -> Config:
    """The project's own settings, mapping and SQL."""
    return load_config()


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What talks to a server is no unit test, whichever file it is in. All Airflows are one process's business."""
    for item in items:
        if item.get_closest_marker("e2e"):
            item.add_marker(pytest.mark.xdist_group("airflow"))
        if {"integration", "simulator"} & set(item.path.parts):
            item.add_marker(pytest.mark.integration)
