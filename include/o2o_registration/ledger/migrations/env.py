"""Alembic's entry: runs the migrations over the connection that `ledger.upgrade` hands in."""

from alembic import context

from o2o_registration.ledger.tables import SCHEMA, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table_schema=SCHEMA,
    include_schemas=True,
)
with context.begin_transaction():
    context.run_migrations()
