"""Which databases are reached by TLS, and what their drivers are told."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from o2o_registration import tls
from o2o_registration.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of somebody who has set up nothing for libpq."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PGSSLROOTCERT", raising=False)


def told(text: str) -> dict[str, str]:
    return tls.of_postgresql(sa.make_url(text), "hr_warehouse")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.0.0.2:5432",
        "localhost",
        "[::1]",
        "",
        "/hr?host=/var/run/postgresql",
        "localhost/hr?hostaddr=::1",
    ],
)
def test_a_database_on_this_machine_needs_no_tls(address: str) -> None:
    assert told(f"postgresql+psycopg://{address}") == {}


@pytest.mark.parametrize(
    "address", ["db.example.com", "10.0.0.7", "localhost/hr?hostaddr=10.0.0.7", "/hr?host=127.0.0.1,db.example.com"]
)
def test_a_database_elsewhere_must_prove_who_it_is(address: str) -> None:
    """Also where only one of several names leads elsewhere."""
    assert told(f"postgresql+psycopg://{address}")["sslmode"] == "verify-full"
    assert told(f"postgresql://{address}")["sslrootcert"]


@pytest.mark.parametrize("mode", ["require", "disable"])
def test_what_the_connection_says_in_so_many_words_is_done(mode: str) -> None:
    assert told(f"postgresql+psycopg://db.example.com/hr?sslmode={mode}") == {}


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_who_asks_for_verification_alone_gets_the_machines_issuers(mode: str) -> None:
    """libpq by itself would look for a file in the home of whoever runs it."""
    assert set(told(f"postgresql+psycopg://db.example.com/hr?sslmode={mode}")) == {"sslrootcert"}


@pytest.mark.parametrize("mode", ["allow", "prefer"])
def test_the_server_is_not_asked_whether_it_likes_tls(mode: str) -> None:
    with pytest.raises(ConfigurationError, match=f"'hr_warehouse' has sslmode={mode}"):
        told(f"postgresql+psycopg://db.example.com/hr?sslmode={mode}")


def test_a_companys_ca_takes_the_place_of_the_usual_issuers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told("postgresql+psycopg://db.example.com/hr?sslrootcert=/etc/ssl/company.pem") == {"sslmode": "verify-full"}
    monkeypatch.setenv("PGSSLROOTCERT", "/etc/ssl/company.pem")
    assert told("postgresql+psycopg://db.example.com/hr") == {"sslmode": "verify-full"}
    monkeypatch.delenv("PGSSLROOTCERT")
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql" / "root.crt").touch()
    assert told("postgresql+psycopg://db.example.com/hr") == {"sslmode": "verify-full"}


def test_a_driver_that_speaks_without_tls_must_be_told() -> None:
    for text in ("mysql://db.example.com/hr?ssl_ca=/etc/ssl/ca.pem", "mysql://db.example.com/hr?ssl_disabled=true"):
        tls.require(sa.make_url(text), "hr_warehouse", "name 'ssl_ca'")
    tls.require(sa.make_url("mysql://127.0.0.1/hr"), "hr_warehouse", "name 'ssl_ca'")
    with pytest.raises(
        ConfigurationError, match=r"'hr_warehouse' would carry .* from db.example.com unencrypted: name"
    ):
        tls.require(sa.make_url("mysql://db.example.com/hr"), "hr_warehouse", "name 'ssl_ca'")
