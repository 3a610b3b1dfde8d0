"""Candidates for the quality tests: a row that passes, and frames of rows that differ from it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
from o2o_registration.quality import COLUMNS, QualityResult, QualityRules
from o2o_registration.quality.check import check

UNTIL = datetime(2026, 3, 2, 12, 5, tzinfo=UTC)
SINCE = UNTIL - timedelta(minutes=5)

GOOD: dict[str, Any] = {
    "employee_id": "ABC123",
    "personnel_number": "A1234",
    "first_name": "Jane",
    "last_name": "Johansson",
    "email": "jane.johansson@example.com",
    "language": "FR",
    "contract_type": "white_collar",
    "company": "ACME",
    "changed_at": UNTIL - timedelta(minutes=1),
    "rows_with_employee_id": 1,
    "people_with_email": 1,
    "email_registered_to": None,
}


def rules(**changes: Any) -> QualityRules:
    """The rules of an ordinary run, apart from the changes."""
    ordinary: dict[str, Any] = {
        "languages": frozenset({"nl", "fr", "en"}),
        "contract_types": frozenset({"white_collar", "blue_collar"}),
        "companies": frozenset({"acme", "globex"}),
        "window_since": SINCE,
        "window_until": UNTIL,
    }
    return QualityRules(**(ordinary | changes))


def frame(*rows: dict[str, Any], first_row_no: int = 0) -> pd.DataFrame:
    """One row per dict, each the good row apart from the dict's changes."""
    records = [GOOD | {"row_no": first_row_no + position} | row for position, row in enumerate(rows)]
    # object: with pyarrow installed, pandas' own string type refuses lone surrogates
    columns = {name: pd.Series([record[name] for record in records], dtype=object) for name in COLUMNS}
    ready = pd.DataFrame(columns)
    ready["row_no"] = ready["row_no"].astype("int64")
    ready["changed_at"] = pd.to_datetime(ready["changed_at"], utc=True)
    return ready


def checked(*rows: dict[str, Any], **changes: Any) -> QualityResult:
    """The verdict on such rows under the ordinary rules, apart from the changes."""
    return check(frame(*rows), rules(**changes))


def codes(**row: Any) -> list[str]:
    """The reasons of one row that differs from the good one."""
    return [reason.code for reason in checked(row).failures.get(0, ())]


def codes_each(*rows: dict[str, Any]) -> list[list[str]]:
    """The reasons of each row; one check for many rows, since a check costs a fifth of a second."""
    failures = checked(*rows).failures
    return [[reason.code for reason in failures.get(row_no, ())] for row_no in range(len(rows))]


def words_each(*rows: dict[str, Any]) -> list[str]:
    """The words of each row's only reason."""
    failures = checked(*rows).failures
    return [reason.words for row_no in range(len(rows)) for (reason,) in [failures[row_no]]]
