"""Ledger and warehouse on another machine: reached by TLS with a verified certificate, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from o2o_registration import ledger
from o2o_registration.errors import LedgerError

from tests.integration.certificates import Authority
from tests.integration.tls_front import front

HOST = "db.example.com"


@pytest.fixture
def company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    monkeypatch.setenv("HOME", str(tmp_path))
    return Authority(tmp_path)


@pytest.fixture
def elsewhere(ledger_url: str, company: Authority) -> Iterator[sa.URL]:
    """The ledger by the name of another machine."""
    inside = sa.make_url(ledger_url)
    with front(inside.port or 0, company.server(HOST)) as port:
        yield inside.set(host=HOST, port=port).update_query_dict({"hostaddr": "127.0.0.1"})


def encrypted(engine: sa.Engine) -> bool:
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        return bool(driver.pgconn.ssl_in_use)


def test_the_companys_ca_is_taken(elsewhere: sa.URL, company: Authority) -> None:
    engine = ledger.connect(elsewhere.update_query_dict({"sslrootcert": str(company.pem)}))
    ledger.check_version(engine)
    assert encrypted(engine)
    engine.dispose()


def test_a_certificate_by_nobody_we_know_is_refused(elsewhere: sa.URL) -> None:
    engine = ledger.connect(elsewhere)
    with pytest.raises(LedgerError, match="name your company's CA as 'sslrootcert'"):
        ledger.check_version(engine)
    engine.dispose()


def test_another_servers_certificate_is_refused(elsewhere: sa.URL, company: Authority) -> None:
    url = elsewhere.set(host="other.example.com").update_query_dict({"sslrootcert": str(company.pem)})
    engine = ledger.connect(url)
    with pytest.raises(LedgerError, match="reached by TLS with a verified certificate"):
        ledger.check_version(engine)
    engine.dispose()


def test_nothing_is_said_to_a_server_without_tls_unless_the_connection_says_so(ledger_url: str) -> None:
    inside = sa.make_url(ledger_url)
    with front(inside.port or 0, None) as port:
        url = inside.set(host=HOST, port=port).update_query_dict({"hostaddr": "127.0.0.1"})
        engine = ledger.connect(url)
        with pytest.raises(LedgerError, match="or say by 'sslmode' what you want instead"):
            ledger.check_version(engine)
        engine.dispose()
        engine = ledger.connect(url.update_query_dict({"sslmode": "disable"}))
        ledger.check_version(engine)
        assert not encrypted(engine)
        engine.dispose()


@pytest.fixture
def warehouse(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An Airflow connection's text -> its engine."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
    import o2o_connections
    from o2o_registration.clients import Client

    def of(text: str) -> sa.Engine:
        monkeypatch.setenv("AIRFLOW_CONN_HR_WAREHOUSE", text)
        return o2o_connections.warehouse_engine(Client())

    return of


def test_the_warehouse_is_reached_alike(elsewhere: sa.URL, company: Authority, warehouse: Any) -> None:
    address = elsewhere.set(drivername="postgresql").render_as_string(hide_password=False)
    with pytest.raises(sa.exc.OperationalError, match="certificate verify failed"):
        warehouse(address).connect()
    engine = warehouse(f"{address}&sslrootcert={company.pem}")
    assert encrypted(engine)
    engine.dispose()
