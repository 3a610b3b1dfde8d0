"""Whose people are in a ledger, and at which of o2o's servers they were registered: neither may be mistaken."""

from __future__ import annotations

import sqlalchemy as sa

from o2o_registration.clients import Client
from o2o_registration.errors import ConfigurationError


def owner(connection: sa.Connection) -> str | None:
    """The client whose people are in this ledger; None before its first run."""
    found: str | None = connection.scalar(sa.text("select client from o2o.owner"))
    return found


def check_owner(engine: sa.Engine, client: Client, take: bool = False) -> None:
    """Raise ConfigurationError when the ledger is another client's. `take`: one that is nobody's becomes this one's."""
    with engine.begin() as connection:
        found = owner(connection)
        if found is None and take:
            connection.execute(
                sa.text("insert into o2o.owner (id, client) values (1, :client) on conflict do nothing"),
                {"client": client.name},
            )
            found = owner(connection)
    if found not in (None, client.name):
        raise ConfigurationError(
            f"The ledger of the connection '{client.ledger}' belongs to the client '{found}', not to '{client.name}':"
            " nothing was read, and nobody was called. Point the connection at a ledger of its own; if this one is to"
            f" change hands, 'python -m o2o_registration owner {client.name}' says so."
        )


def hand_over(connection: sa.Connection, name: str) -> None:
    """Make the ledger another client's."""
    connection.execute(
        sa.text("""
            insert into o2o.owner (id, client) values (1, :client)
            on conflict (id) do update set client = excluded.client, since = now()
        """),
        {"client": name},
    )


def server(connection: sa.Connection) -> str | None:
    """The host at which this ledger's people are registered; None before its first call."""
    found: str | None = connection.scalar(sa.text("select server from o2o.owner"))
    return found


def check_server(engine: sa.Engine, host: str, client: Client) -> None:
    """Raise ConfigurationError when the people of this ledger are at another server of o2o than `host`.

    A ledger that is at none yet becomes this one's. Whoever is registered at acceptance counts as registered for good:
    in production nobody would ever call them.
    """
    with engine.begin() as connection:
        connection.execute(sa.text("update o2o.owner set server = :host where server is null"), {"host": host})
        found = server(connection)
    if found not in (None, host):
        raise ConfigurationError(
            f"The people in the ledger of the connection '{client.ledger}' are registered at {found}; the connection"
            f" '{client.api}' names {host}, where nobody would call them again. Nobody was called. Each server of o2o"
            f" needs a ledger of its own: point '{client.ledger}' at another database, or mend the host of"
            f" '{client.api}'. If both names are the same o2o, 'python -m o2o_registration server {host}' says so."
        )


def is_at(connection: sa.Connection, host: str) -> None:
    """Say that this ledger's people are at `host`. Raises ConfigurationError for a ledger that nobody has used."""
    done = connection.execute(sa.text("update o2o.owner set server = :host"), {"host": host})
    if not done.rowcount:
        raise ConfigurationError("This ledger has no people yet: its first call says at which server they are.")
