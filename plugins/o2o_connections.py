"""Airflow connections -> what the domain takes: SQLAlchemy engines, and o2o's address with its token."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import o2o_dialects
from airflow.sdk import BaseHook
from o2o_registration.clients import Client
from o2o_registration.errors import ConfigurationError

if TYPE_CHECKING:
    import sqlalchemy as sa
    from airflow.sdk import Connection

API_CONN_ID = Client.api
"""Of the one client of a configuration folder without client files."""


@dataclass(frozen=True)
class Api:
    """Where `user.create` is, and the token for it, which never shows in a representation."""

    base_url: str
    token: str = field(repr=False)


def get_connection(conn_id: str) -> Connection:
    """Raises ConfigurationError naming the connection when there is none."""
    try:
        return BaseHook.get_connection(conn_id)
    except Exception as error:  # noqa: BLE001 - each secrets backend has its own kinds
        raise ConfigurationError(
            f"The Airflow connection '{conn_id}' cannot be read ({type(error).__name__}). Set it in the UI"
            f" (Admin > Connections), or as the environment variable AIRFLOW_CONN_{conn_id.upper()}."
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


def api(connection: Connection) -> Api:
    """o2o's server and token. Raises ConfigurationError for one without a token, a host, or encryption."""
    host = connection.host or ""
    base_url = host if "://" in host else f"{connection.schema or 'https'}://{host}"
    scheme, _, name = base_url.rstrip("/").partition("://")
    if not name:
        raise ConfigurationError(
            f"The connection '{connection.conn_id}' has no host: o2o's are acc-api.o2o.be and api.o2o.be."
        )
    if not connection.password:
        raise ConfigurationError(
            f"The connection '{connection.conn_id}' has no password: put o2o's bearer token there."
        )
    if scheme != "https" and not _is_loopback(name):
        raise ConfigurationError(
            f"The connection '{connection.conn_id}' would send people's data to {name} unencrypted:"
            " set its schema to https."
        )
    port = f":{connection.port}" if connection.port else ""
    return Api(f"{scheme}://{name}{port}", connection.password)


def _is_loopback(name: str) -> bool:
    host = name.split("/")[0].rsplit(":", 1)[0] if name.count(":") == 1 else name.split("/")[0]
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
