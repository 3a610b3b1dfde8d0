"""What going back to an older revision would lose: tried within the transaction, looked at, and undone."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from o2o_registration.clients import DEFAULT
from o2o_registration.errors import LedgerError, driver_words
from o2o_registration.ledger import owner

Column = tuple[str, str]
"""Table and name."""
Shape = tuple[str, str | None]
"""Type and default."""


_FLEETING = {("delivery_state", "next_call_at"), ("owner", "server")}
"""Some milliseconds ahead of now; what the next call's connection says: nobody misses them."""
_OWNER = "owner"
"""Older revisions know one client alone; on the way forward the ledger is the default one's again, and no other's."""


def foresee(connection: sa.Connection, change: Callable[[], None]) -> list[str]:
    """What `change` would lose, each with its number of rows; afterwards nothing is changed.

    A column whose type changes counts as lost: nobody can tell whether its values fit the older one.
    """
    columns, rows = _columns(connection), _rows(connection)
    trial = connection.begin_nested()
    try:
        change()
        after, left = _columns(connection), _rows(connection)
    except sa.exc.DBAPIError as error:
        raise LedgerError(f"The ledger's rows do not fit the older revision ({driver_words(error)}).") from None
    except AttributeError:
        # what Alembic makes of a revision without downgrade()
        raise LedgerError("A revision on the way back cannot be undone: restore a backup instead.") from None
    finally:
        trial.rollback()
    lost = [
        (f"table {table}", count - left.get(table, 0))
        for table, count in rows.items()
        if count > left.get(table, 0) and table != _OWNER
    ]
    if _OWNER in rows and _OWNER not in left and (client := owner(connection)) not in (None, DEFAULT):
        lost.append((f"table {_OWNER} (client is {client})", rows[_OWNER]))
    for (table, name), shape in columns.items():
        if (table, name) in _FLEETING:
            continue
        if table in left and after.get((table, name), ("", None))[0] != shape[0]:
            lost.append((f"column {table}.{name}", _set(connection, table, name, shape[1])))
    return [f"{what}: {count:,} rows" for what, count in lost if count]


def _columns(connection: sa.Connection) -> dict[Column, Shape]:
    rows = connection.execute(
        sa.text("""
            select table_name, column_name, data_type, column_default
            from information_schema.columns join information_schema.tables using (table_schema, table_name)
            where table_schema = 'o2o' and table_type = 'BASE TABLE' and table_name <> 'alembic_version'
            order by table_name, ordinal_position
        """)
    )
    return {(row[0], row[1]): (row[2], row[3]) for row in rows}


def _rows(connection: sa.Connection) -> dict[str, int]:
    tables = dict.fromkeys(table for table, _ in _columns(connection))
    return {
        table: connection.scalar(sa.select(sa.func.count()).select_from(sa.table(table, schema="o2o"))) or 0
        for table in tables
    }


def _set(connection: sa.Connection, table: str, name: str, default: str | None) -> int:
    """Rows whose value is not the one that they have anyhow."""
    value: sa.ColumnElement[object] = sa.column(name)
    query = sa.select(sa.func.count()).select_from(sa.table(table, schema="o2o"))
    return connection.scalar(query.where(value.is_distinct_from(sa.text(default or "null")))) or 0
