"""What the extract must know of SQL dialects: the session's time zone, and how an instant is bound."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from o2o_registration.window import Window

# SQL Server and BigQuery have no such setting; SQLite knows no zones
_IN_UTC = {
    "postgresql": "set local time zone 'UTC'",
    "redshift": "set timezone to 'UTC'",
    "mysql": "set time_zone = '+00:00'",
    "mariadb": "set time_zone = '+00:00'",
    "duckdb": "set timezone = 'UTC'",
    "snowflake": "alter session set timezone = 'UTC'",
}


def speak_utc(connection: sa.Connection) -> None:
    """From here on a time without a zone means UTC, to the database's comparisons as to our reading of its answers."""
    if statement := _IN_UTC.get(connection.dialect.name):
        connection.exec_driver_sql(statement)


def bounds(connection: sa.Connection, span: Window) -> dict[str, Any]:
    """The window as the values of `:since` and `:until`."""
    if connection.dialect.name == "sqlite":
        # as text: Python's own conversion is deprecated
        return {"since": span.since.isoformat(" "), "until": span.until.isoformat(" ")}
    return {"since": span.since, "until": span.until}
