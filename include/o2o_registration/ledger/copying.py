"""COPY, whose errors SQLAlchemy does not see: they quote the row that was being copied, which is a person."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import psycopg
import sqlalchemy as sa


class Rows(Protocol):
    """Takes rows one by one."""

    def write_row(self, row: tuple[Any, ...]) -> None: ...


@contextmanager
def copying(connection: sa.Connection, statement: str) -> Iterator[Rows]:
    """Raises sqlalchemy.exc.DBAPIError like any other statement, so that whoever tells of errors knows it."""
    cursor = connection.connection.driver_connection.cursor()  # type: ignore[union-attr]
    try:
        with cursor, cursor.copy(statement) as copy:
            yield copy
    except psycopg.Error as error:
        raise sa.exc.DBAPIError.instance(statement, None, error, psycopg.Error, hide_parameters=True) from None
