"""A new password for the ledger: the page's server, which runs for months, goes on without a restart."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from o2o_registration.config import Config


@pytest.fixture
def role(ledger_engine: sa.Engine) -> Iterator[str]:
    """Somebody who may use the ledger, with the password 'spring'."""
    name = f"page_{uuid.uuid4().hex[:12]}"
    with ledger_engine.begin() as connection:
        connection.execute(sa.text(f"create role {name} login password 'spring'"))
        connection.execute(sa.text(f"grant usage on schema o2o to {name}"))
        connection.execute(sa.text(f"grant all on all tables in schema o2o to {name}"))
    yield name
    with ledger_engine.begin() as connection:
        connection.execute(sa.text(f"drop owned by {name}"))
        connection.execute(sa.text(f"drop role {name}"))


def test_the_page_takes_up_the_ledgers_new_password(
    ledger_engine: sa.Engine, role: str, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the very request that the old one fails."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    import airflow.sdk  # noqa: F401  # before a plugin
    import o2o_page_app as page

    def give(password: str) -> None:
        url = ledger_engine.url.set(drivername="postgresql", username=role, password=password)
        monkeypatch.setenv("AIRFLOW_CONN_O2O_LEDGER", url.render_as_string(hide_password=False))

    give("spring")
    page.ledger(config)
    with ledger_engine.begin() as connection:
        connection.execute(sa.text(f"alter role {role} password 'summer'"))
        connection.execute(sa.text(f"select pg_terminate_backend(pid) from pg_stat_activity where usename = '{role}'"))
    give("summer")
    engine = page.ledger(config)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("select current_user")) == role
    engine.dispose()
    page._engine.cache_clear()
