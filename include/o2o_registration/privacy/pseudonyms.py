"""What stays of a person who is forgotten: keyed pseudonyms (HMAC-SHA-256), and the key's relation to the ledger.

The key is never in the ledger, only a value that tells whether a key is the right one. From the day it is adopted,
e-mail keys and fingerprints are pseudonyms from the start, so that they need not be forgotten later.
"""

from __future__ import annotations

import hmac
import logging
import time
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from o2o_registration.errors import ConfigurationError, LedgerError
from o2o_registration.ledger import patiently
from o2o_registration.ledger.copying import copying

log = logging.getLogger(__name__)

KEY = "O2O_PSEUDONYM_KEY"
"""The command line's environment variable for the key; Airflow has it in the connection `o2o_privacy`."""
PREFIX = "pseudonym:"
MIN_KEY = 32
WAIT_SECONDS = 900
"""How long to wait for a run that is reading or checking, a million rows at most."""
CHUNK_ROWS = 20_000
PAUSE_SECONDS = 0.1
WHERE = (
    "it is the password of the Airflow connection 'o2o_privacy', and on the command line the environment"
    f" variable {KEY}"
)


@dataclass(frozen=True)
class Pseudonyms:
    """Equal values give equal pseudonyms; without the key nobody can tell whose they are."""

    key: bytes = field(repr=False)

    def person(self, employee_id: str) -> str:
        """Of an employee id, or of the key of a row without one; a pseudonym stays as it is."""
        return employee_id if employee_id.startswith(PREFIX) else PREFIX + self._digest("person", employee_id)

    def email(self, email_key: str | None) -> str | None:
        return None if email_key is None else PREFIX + self._digest("e-mail", email_key)

    def fingerprint(self, fingerprint: str) -> str:
        return self._digest("row", fingerprint)

    def source_key(self, key: str) -> str:
        """A row without employee id is named by its fingerprint, any other by the id."""
        return f"row:{self.fingerprint(key[4:])}" if key.startswith("row:") else key

    def check_value(self) -> str:
        return self._digest("key", "")

    def _digest(self, domain: str, value: str) -> str:
        # a domain each, so that an id that equals somebody's address has another pseudonym
        return hmac.digest(self.key, f"{domain}\x00{value}".encode(), "sha256").hex()[:32]


def made(key: str | None) -> Pseudonyms:
    """Raises ConfigurationError for no key, or one that could be guessed."""
    if not key:
        raise ConfigurationError(f"There is no key for pseudonyms: {WHERE}. docs/privacy.md says how to make one.")
    if len(key.strip()) < MIN_KEY:
        raise ConfigurationError(f"The key for pseudonyms is shorter than {MIN_KEY} characters: {WHERE}.")
    return Pseudonyms(key.strip().encode())


def enter(connection: sa.Connection, key: str | None) -> Pseudonyms | None:
    """Begin a stage of a run: nobody is erased until its transaction ends.

    None while the ledger has adopted no key. Raises ConfigurationError where it has, and `key` is none or another.
    """
    share(connection)
    return proved(connection, key)


def proved(connection: sa.Connection, key: str | None) -> Pseudonyms | None:
    """As `enter`, for a look at the ledger."""
    known = _check_value(connection)
    return None if known is None else _proved(known, key)


def share(connection: sa.Connection) -> None:
    """Keep erasures away until the transaction ends; other stages and other runs are welcome."""
    patiently(connection, "select pg_advisory_xact_lock_shared(hashtext('o2o_forget'))")


def exclude(connection: sa.Connection, seconds: float = WAIT_SECONDS) -> None:
    """Keep all runs from reading, checking and building until the transaction ends. Raises LedgerError.

    Asks again and again instead of queueing: behind somebody who queues, every new run would have to wait, too.
    """
    deadline = time.monotonic() + seconds
    while not connection.scalar(sa.text("select pg_try_advisory_xact_lock(hashtext('o2o_forget'))")):
        if time.monotonic() > deadline:
            raise LedgerError(
                f"A run has been reading, checking or building for {seconds / 60:.0f} minutes, and nobody can be"
                " forgotten meanwhile. Nothing was changed; try again when it has ended."
            )
        time.sleep(PAUSE_SECONDS)


def _check_value(connection: sa.Connection) -> str | None:
    found: str | None = connection.scalar(sa.text("select check_value from o2o.privacy_key"))
    return found


def _proved(known: str, key: str | None) -> Pseudonyms:
    pseudonyms = made(key)
    if not hmac.compare_digest(known, pseudonyms.check_value()):
        raise ConfigurationError(
            f"The key for pseudonyms is not the one that this ledger has adopted: {WHERE}. With another key nobody"
            " who was forgotten would be recognised, and people might be e-mailed a second time. Nothing was done."
        )
    return pseudonyms


def adopt(ledger: sa.Engine, key: str | None) -> Pseudonyms:
    """The ledger's key. The first time, e-mail keys and fingerprints that are there become pseudonyms.

    Raises ConfigurationError for no key or a wrong one, LedgerError while calls are under way the first time.
    """
    pseudonyms = made(key)
    with ledger.begin() as connection:
        known = _check_value(connection)
        if known is not None:
            return _proved(known, key)
        exclude(connection)
        known = _check_value(connection)
        if known is not None:
            return _proved(known, key)
        _quiet(connection)
        for table, key_columns in _TABLES.items():
            _convert(connection, pseudonyms, table, key_columns)
        connection.execute(
            sa.text("insert into o2o.privacy_key (id, check_value) values (1, :value)"),
            {"value": pseudonyms.check_value()},
        )
    log.warning("The ledger has adopted the key for pseudonyms: from now on no run works without it (%s)", WHERE)
    return pseudonyms


_TABLES = {
    "registration": ("employee_id",),
    "quarantine": ("source_key", "fingerprint"),
    "candidate": ("run_id", "row_no"),
}


def _quiet(connection: sa.Connection) -> None:
    """Nobody may be called meanwhile: an answer that waits for our locks is one that might be lost."""
    connection.execute(sa.text("lock table o2o.registration in exclusive mode"))
    if connection.scalar(sa.text("select exists (select from o2o.attempt where closed_at is null)")):
        raise LedgerError(
            "Calls to o2o are under way, or were left open by a crash. The key is adopted when there are none: try"
            " again after the next run of o2o_register_interested_employees. Nothing was changed."
        )


def _convert(connection: sa.Connection, pseudonyms: Pseudonyms, table: str, key_columns: tuple[str, ...]) -> None:
    keys = ", ".join(key_columns)
    named = table != "registration"
    connection.execute(
        sa.text(f"""
            create temporary table converted on commit drop as
            select {keys}, fingerprint as new_fingerprint, email_key as new_email_key, employee_id as new_source_key
            from o2o.{table} limit 0
        """)  # noqa: S608 - constants of this module
    )
    rows = connection.execute(
        sa.text(f"select {keys}, fingerprint, email_key{', source_key' if named else ''} from o2o.{table}"),  # noqa: S608
        execution_options={"yield_per": CHUNK_ROWS},
    )
    # without a size it would fetch the whole table at once, whatever yield_per says
    for chunk in rows.partitions(CHUNK_ROWS):
        with copying(connection, "copy converted from stdin") as copy:
            for row in chunk:
                copy.write_row(_converted(pseudonyms, row, len(key_columns), named))
    same = " and ".join(f"t.{name} = c.{name}" for name in key_columns)
    also = ", source_key = c.new_source_key" if named else ""
    connection.execute(
        sa.text(f"""
            update o2o.{table} t set fingerprint = c.new_fingerprint, email_key = c.new_email_key{also}
            from converted c where {same}
        """)  # noqa: S608
    )
    connection.execute(sa.text("drop table converted"))


def _converted(pseudonyms: Pseudonyms, row: Any, keys: int, named: bool) -> tuple[Any, ...]:
    source_key = pseudonyms.source_key(row[-1]) if named else None
    return (*row[:keys], pseudonyms.fingerprint(row.fingerprint), pseudonyms.email(row.email_key), source_key)
