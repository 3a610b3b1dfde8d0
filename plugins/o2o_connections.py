"""Airflow connections -> what the domain takes: SQLAlchemy engines, and o2o's address with its token."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from o2o_registration.api import Api, Given, hosts_of_the_environment, read
from o2o_registration.clients import Client
from o2o_registration.errors import ConfigurationError

if TYPE_CHECKING:
    import sqlalchemy as sa
    from airflow.sdk import Connection

API_CONN_ID = Client.api
"""Of the one client of a configuration folder without client files."""

# Airflow's connection type -> SQLAlchemy's driver name; others are named by the extra `sqlalchemy_driver`
_DRIVERS = {
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mssql": "mssql+pyodbc",
    "sqlite": "sqlite",
    "snowflake": "snowflake",
    "duckdb": "duckdb",
}


def get_connection(conn_id: str) -> Connection:
    """Raises ConfigurationError naming the connection when there is none."""
    try:
        return BaseHook.get_connection(conn_id)
    except Exception as error:  # noqa: BLE001 - each secrets backend has its own kinds
        raise ConfigurationError(
            f"The Airflow connection '{conn_id}' cannot be read ({type(error).__name__}). Set it in the UI"
            f" (Admin > Connections), as the environment variable AIRFLOW_CONN_{conn_id.upper()}, or in your secrets"
            " backend."
        ) from None


def warehouse_engine(client: Client) -> sa.Engine:
    """The client's HR warehouse: any SQLAlchemy dialect."""
    import sqlalchemy as sa

    return sa.create_engine(sqlalchemy_url(get_connection(client.warehouse)), hide_parameters=True)


def ledger_engine(client: Client, take: bool = True) -> sa.Engine:
    """The client's ledger, at the revision that this code needs. Raises ConfigurationError for another client's.

    `take`: one that is nobody's yet becomes this client's, as it should by a run.
    """
    from o2o_registration import ledger

    engine = ledger.connect(sqlalchemy_url(get_connection(client.ledger)), connection_id=client.ledger)
    ledger.check_version(engine, client.ledger)
    ledger.check_owner(engine, client, take)
    return engine


def privacy_key(client: Client) -> str | None:
    """The client's key for pseudonyms; None without the connection, which only a ledger that has adopted one minds."""
    try:
        return get_connection(client.privacy).password or None
    except ConfigurationError:
        return None


def sqlalchemy_url(connection: Connection) -> sa.URL:
    """The connection as SQLAlchemy wants it. Raises ConfigurationError for a type nobody told us the driver of."""
    import sqlalchemy as sa

    extra = _extra(connection)
    driver = extra.pop("sqlalchemy_driver", None) or _DRIVERS.get(connection.conn_type or "")
    if driver is None:
        raise ConfigurationError(
            f"No SQLAlchemy driver is known for the type '{connection.conn_type}' of the connection"
            f" '{connection.conn_id}': name one in its extra, as in"
            ' {"sqlalchemy_driver": "redshift+redshift_connector"}.'
        )
    return sa.URL.create(
        driver,
        username=connection.login or None,
        password=connection.password or None,
        host=connection.host or None,
        port=connection.port,
        database=connection.schema or None,
        query={key: str(value) for key, value in extra.items()},
    )


def _extra(connection: Connection) -> dict[str, Any]:
    try:
        extra = json.loads(connection.extra or "{}")
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        raise ConfigurationError(f"The extra of the connection '{connection.conn_id}' is no JSON object: mend it.")
    return extra


def api(connection: Connection, allowed_hosts: Collection[str] = ()) -> Api:
    """o2o's server and token. Raises ConfigurationError, see `o2o_registration.api`."""
    given = Given(
        connection_id=connection.conn_id,
        host=connection.host or "",
        schema=connection.schema or "",
        port=connection.port,
        password=connection.password or "",
        extra=_extra(connection),
    )
    return read(given, [*allowed_hosts, *hosts_of_the_environment()])
