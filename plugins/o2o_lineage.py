"""Lineage for OpenLineage: which tables a task reads and writes. Asked only where OpenLineage is switched on.

Names follow OpenLineage's conventions, `postgres://host:port` and `database.schema.table`; only names and counts leave.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.python import PythonOperator, ShortCircuitOperator

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Connection

WAREHOUSE = "the tables of the warehouse's query"


@dataclass(frozen=True)
class Tables:
    """Tables of the ledger, by name, or WAREHOUSE."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]


BY_TASK = {
    "extract_interested_employees": Tables((WAREHOUSE,), ("o2o.candidate",)),
    "check_quality": Tables(("o2o.candidate",), ("o2o.candidate", "o2o.quarantine")),
    "build_payloads": Tables(("o2o.candidate",), ("o2o.registration",)),
    "post_users": Tables(("o2o.registration",), ("o2o.attempt", "o2o.registration")),
    "load_audit": Tables(("o2o.attempt",), ("o2o.audit",)),
}


class Lineage:
    """For operators: answers OpenLineage's question by the task's id."""

    task_id: str

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """The datasets of a task that has succeeded."""
        from airflow.providers.openlineage.extractors import OperatorLineage

        tables = BY_TASK[self.task_id]
        return OperatorLineage(
            inputs=[dataset for name in tables.reads for dataset in _datasets(name)],
            outputs=[dataset for name in tables.writes for dataset in _datasets(name)],
        )


class PipelineOperator(Lineage, PythonOperator):
    """A task of the pipeline that is a function."""


class ExtractOperator(Lineage, ShortCircuitOperator):
    """The first task: its function returns None when there is nothing to do, which skips the rest."""


def _datasets(name: str) -> list[Any]:
    from o2o_connections import LEDGER_CONN_ID, WAREHOUSE_CONN_ID, get_connection

    if name != WAREHOUSE:
        return [_dataset(get_connection(LEDGER_CONN_ID), name)]
    connection = get_connection(WAREHOUSE_CONN_ID)
    return [_dataset(connection, table) for table in _warehouse_tables(connection)]


def _dataset(connection: Connection, table: str) -> Any:
    from airflow.providers.common.compat.openlineage.facet import Dataset

    kind = connection.conn_type or "unknown"
    port = f":{connection.port}" if connection.port else ""
    database = f"{connection.schema}." if connection.schema else ""
    return Dataset(namespace=f"{kind}://{connection.host or ''}{port}", name=f"{database}{table}")


def _warehouse_tables(connection: Connection) -> list[str]:
    """The tables that the extract's query names."""
    from o2o_registration.config import load_config
    from openlineage.common.sql import parse

    found = parse([load_config().extract_sql], dialect=connection.conn_type)
    return [table.qualified_name for table in found.in_tables] if found else []
