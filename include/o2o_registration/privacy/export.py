"""Everything that is held on one person, for that person. Audited under the pseudonym."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from o2o_registration.desk import people
from o2o_registration.errors import ConfigurationError
from o2o_registration.privacy import pseudonyms, reasons

# each row that is about somebody, by id or by pseudonym
_TABLES = {
    "registration": "employee_id in (:id, :person)",
    "attempt": "employee_id in (:id, :person)",
    "audit": "employee_id in (:id, :person)",
    "quarantine": "source_key = :id or employee_id = :id",
    "candidate": "source_key = :id",
}


_UNKNOWN = {True: "Neither registered nor set aside; what was done is below.", False: "Nothing is held."}


def collect(ledger: sa.Engine, key: str | None, employee_ids: Sequence[str], actor: str, why: str) -> dict[str, Any]:
    """Per employee id: a sentence, what happened in words, and every row of every table. Ready for JSON."""
    keys = pseudonyms.adopt(ledger, key)
    with ledger.connect() as connection:
        words = reasons.redacted(connection, why, employee_ids)
    found = []
    for one in employee_ids:
        known = people.person(ledger, one) or people.person(ledger, keys.person(one))
        with ledger.begin() as connection:
            rows = {
                table: [
                    row[0]
                    for row in connection.execute(
                        sa.text(f"select to_jsonb(t) from o2o.{table} t where {whose} order by 1"),  # noqa: S608
                        {"id": one, "person": keys.person(one)},
                    )
                ]
                for table, whose in _TABLES.items()
            }
            if any(rows.values()):
                connection.execute(
                    sa.text("""
                        insert into o2o.audit (employee_id, event, detail, actor)
                        values (:person, 'exported', :words, :actor)
                    """),
                    {"person": keys.person(one), "words": words, "actor": actor},
                )
        found.append(
            {
                "employee_id": one,
                "pseudonym": keys.person(one),
                "in_a_sentence": known.sentence if known else _UNKNOWN[any(rows.values())],
                "what_happened": [asdict(event) for event in known.events] if known else [],
                "rows": rows,
            }
        )
    return {"exported_at": datetime.now(UTC).isoformat(timespec="seconds"), "people": found}


def write(document: dict[str, Any], path: Path) -> None:
    """A new file that nobody else can read. Raises ConfigurationError when it is there already or cannot be made."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written ({error.strerror}): name a new file with --out.") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(document, file, ensure_ascii=False, indent=2, default=str)
        file.write("\n")
