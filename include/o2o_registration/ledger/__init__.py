"""The ledger: where people, calls and outcomes are kept. Schema in `tables`, changes of it in `migrations`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from o2o_registration import tls
from o2o_registration.errors import LedgerError
from o2o_registration.ledger.belonging import check_owner, check_server, hand_over, is_at, owner, server

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = [
    "check_owner",
    "check_server",
    "check_version",
    "connect",
    "downgrade",
    "hand_over",
    "is_at",
    "owner",
    "patiently",
    "revisions",
    "server",
    "upgrade",
]

LOCK_SECONDS = 20
"""How long a statement waits for a stranger's lock before it fails and says so."""
STAGE_MINUTES = 30
"""How long it waits for one that a run's stage may hold while it works on a million rows."""
IDLE_MINUTES = 10
"""How long a process that stands still within a transaction may keep its locks."""

_MIGRATIONS = Path(__file__).parent / "migrations"


def connect(url: str | sa.URL, pool_size: int = 3, connection_id: str = "o2o_ledger") -> sa.Engine:
    """An engine for a ledger's SQLAlchemy URL. Raises LedgerError for any dialect but PostgreSQL.

    Anywhere but on this machine it is reached by TLS, see `tls.of_postgresql`.
    """
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "postgresql":
        raise LedgerError(
            f"The ledger must be PostgreSQL, not {parsed.get_backend_name()}: mend the connection '{connection_id}'."
        )
    parsed = parsed.set(drivername="postgresql+psycopg")
    engine = sa.create_engine(
        parsed,
        pool_size=pool_size,
        pool_pre_ping=True,
        # an exception's text is logged by Airflow, and parameters are people
        hide_parameters=True,
        connect_args={
            "connect_timeout": 10,
            "application_name": "o2o_registration",
            # a network that swallows packets must become an error, not a task that hangs
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
            **tls.of_postgresql(parsed, connection_id),
        },
    )
    sa.event.listen(engine, "begin", _harden)
    return engine


def _harden(connection: sa.Connection) -> None:
    """Per transaction, since a connection pooler between us and PostgreSQL may share sessions.

    A commit must be on disk before the call it announces leaves, whatever the server thinks fast enough.
    """
    connection.exec_driver_sql(
        "select set_config('lock_timeout', %s, true), set_config('idle_in_transaction_session_timeout', %s, true),"
        " case when current_setting('synchronous_commit') = 'off'"
        " then set_config('synchronous_commit', 'on', true) end",
        (f"{LOCK_SECONDS}s", f"{IDLE_MINUTES}min"),
    ).close()


def patiently(connection: sa.Connection, lock: str, **parameters: Any) -> None:
    """Run a statement that locks what another stage, of this run or of another, may be at work on."""
    connection.execute(sa.text(f"set local lock_timeout = '{STAGE_MINUTES}min'"))
    connection.execute(sa.text(lock), parameters)
    connection.execute(sa.text(f"set local lock_timeout = '{LOCK_SECONDS}s'"))


def upgrade(url: str | sa.URL, revision: str = "head") -> None:
    """Create the ledger or bring it to a revision. Safe to call again, and by several at once."""
    from alembic import command

    with _changing(url) as connection:
        connection.execute(sa.text("create schema if not exists o2o"))
        _refuse_the_unknown(_revision(connection))
        command.upgrade(_alembic(connection), revision)


def downgrade(url: str | sa.URL, revision: str) -> None:
    """Take the ledger back to an older revision. Raises LedgerError where that would lose data."""
    from alembic import command

    from o2o_registration.ledger import losses

    with _changing(url) as connection:
        found = _revision(connection)
        _refuse_the_unknown(found)
        known = revisions()
        if revision not in known:
            raise LedgerError(f"There is no revision '{revision}'; there are {', '.join(known)}.")
        if found is None or revision > found:
            raise LedgerError(f"The ledger is at revision {found or '(empty)'}, older than {revision}: use 'upgrade'.")
        config = _alembic(connection)
        if lost := losses.foresee(connection, lambda: command.downgrade(config, revision)):
            raise LedgerError(
                f"Going back from revision {found} to {revision} would lose data: {'; '.join(lost)}. Nothing was"
                " changed. Keep this version, or restore a backup from before the upgrade."
            )
        command.downgrade(config, revision)


@contextmanager
def _changing(url: str | sa.URL) -> Iterator[sa.Connection]:
    """One transaction, which waits for whoever else changes the ledger's form."""
    engine = connect(url)
    try:
        with engine.begin() as connection:
            # theirs may build an index over millions of rows
            connection.execute(sa.text("set local lock_timeout = '1h'"))
            connection.execute(sa.text("select pg_advisory_xact_lock(hashtext('o2o_ledger_upgrade'))"))
            connection.execute(sa.text(f"set local lock_timeout = '{LOCK_SECONDS}s'"))
            yield connection
    finally:
        engine.dispose()


def revisions() -> list[str]:
    """All that this code knows, oldest first. A revision's file begins with its name."""
    return sorted(file.name.partition("_")[0] for file in (_MIGRATIONS / "versions").glob("[0-9]*.py"))


def _revision(connection: sa.Connection) -> str | None:
    known = connection.scalar(sa.text("select to_regclass('o2o.alembic_version')"))
    found: str | None = connection.scalar(sa.text("select version_num from o2o.alembic_version")) if known else None
    return found


def _refuse_the_unknown(found: str | None) -> None:
    known = revisions()
    if found is not None and found not in known:
        raise LedgerError(
            f"The ledger is at revision {found}, which is newer than this code ({known[-1]}): another machine runs a"
            " newer version. Install that version here, too; or, with that version,"
            f" 'python -m o2o_registration downgrade {known[-1]}'."
        )


def check_version(engine: sa.Engine, connection_id: str = "o2o_ledger") -> None:
    """Raise LedgerError when the ledger is out of reach or not at this code's revision.

    Without Alembic, whose import would cost an idle run more than all the rest of it.
    """
    head = revisions()[-1]
    try:
        with engine.connect() as connection:
            found = _revision(connection)
    except sa.exc.OperationalError as error:
        raise LedgerError(
            f"The ledger cannot be reached ({type(error.orig).__name__}): check that PostgreSQL runs and the"
            f" connection '{connection_id}'.{tls.hint(error)}"
        ) from None
    _refuse_the_unknown(found)
    if found != head:
        raise LedgerError(
            f"The ledger is at revision {found or '(empty)'}, this code needs {head}:"
            " run 'python -m o2o_registration upgrade'."
        )


def _alembic(connection: sa.Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    return config
