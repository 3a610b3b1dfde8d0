"""Lineage for OpenLineage: which tables a task reads and writes. Asked only where OpenLineage is switched on.

Names follow OpenLineage's conventions, `postgres://host:port` and `database.schema.table`; only names and counts leave.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.python import PythonOperator, ShortCircuitOperator
from o2o_registration.clients import DEFAULT

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
    client: str = DEFAULT

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """The datasets of a task that has succeeded."""
        from airflow.providers.openlineage.extractors import OperatorLineage

        tables = BY_TASK[self.task_id]
        return OperatorLineage(
            inputs=[dataset for name in tables.reads for dataset in _datasets(name, self.client)],
            outputs=[dataset for name in tables.writes for dataset in _datasets(name, self.client)],
        )


class PipelineOperator(Lineage, PythonOperator):
    """A task of the pipeline that is a function of the client."""

    def __init__(self, *, client: str = DEFAULT, **kwargs: Any) -> None:
        super().__init__(op_kwargs={"client": client}, **kwargs)
        self.client = client


class ExtractOperator(Lineage, ShortCircuitOperator):
    """The first task: its function returns None when there is nothing to do, which skips the rest."""

    def __init__(self, *, client: str = DEFAULT, **kwargs: Any) -> None:
        super().__init__(op_kwargs={"client": client}, **kwargs)
        self.client = client


def _datasets(name: str, client: str) -> list[Any]:
    from o2o_connections import get_connection
    from o2o_registration.config import load_config

    config = load_config(client=client)
    if name != WAREHOUSE:
        return [_dataset(get_connection(config.client.ledger), name)]
    connection = get_connection(config.client.warehouse)
    return [_dataset(connection, table) for table in _tables_of(config.extract_sql, connection)]


def _dataset(connection: Connection, table: str) -> Any:
    from airflow.providers.common.compat.openlineage.facet import Dataset

    kind = connection.conn_type or "unknown"
    port = f":{connection.port}" if connection.port else ""
    database = f"{connection.schema}." if connection.schema else ""
    return Dataset(namespace=f"{kind}://{connection.host or ''}{port}", name=f"{database}{table}")


def _tables_of(query: str, connection: Connection) -> list[str]:
    """The tables that the extract's query names."""
    from openlineage.common.sql import parse

    found = parse([query], dialect=connection.conn_type)
    return [table.qualified_name for table in found.in_tables] if found else []
