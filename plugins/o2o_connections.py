"""Airflow connections -> what the domain takes: SQLAlchemy engines, and o2o's address with its token."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import o2o_dialects
from airflow.sdk import BaseHook
from o2o_registration.api import Api, Given, hosts_of_the_environment, read
from o2o_registration.clients import Client
from o2o_registration.errors import ConfigurationError

if TYPE_CHECKING:
    import sqlalchemy as sa
    from airflow.sdk import Connection

API_CONN_ID = Client.api
"""Of the one client of a configuration folder without client files."""


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
    return o2o_dialects.engine(get_connection(client.warehouse))


def ledger_engine(client: Client, take: bool = True) -> sa.Engine:
    """The client's ledger, at the revision that this code needs. Raises ConfigurationError for another client's.

    `take`: one that is nobody's yet becomes this client's, as it should by a run.
    """
    from o2o_registration import ledger

    engine = ledger.connect(o2o_dialects.address(get_connection(client.ledger)).url, connection_id=client.ledger)
    ledger.check_version(engine, client.ledger)
    ledger.check_owner(engine, client, take)
    return engine


def privacy_key(client: Client) -> str | None:
    """The client's key for pseudonyms; None without the connection, which only a ledger that has adopted one minds."""
    try:
        return get_connection(client.privacy).password or None
    except ConfigurationError:
        return None


def api(connection: Connection, allowed_hosts: Collection[str] = ()) -> Api:
    """o2o's server and token. Raises ConfigurationError, see `o2o_registration.api`."""
    given = Given(
        connection_id=connection.conn_id,
        host=connection.host or "",
        schema=connection.schema or "",
        port=connection.port,
        password=connection.password or "",
        extra=o2o_dialects.extra_of(connection),
    )
    return read(given, [*allowed_hosts, *hosts_of_the_environment()])
