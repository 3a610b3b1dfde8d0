"""Candidates as the suite wants them: one row per row_no, tidy text, comparable codes, dates in UTC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from o2o_registration.quality.model import COLUMNS, QualityRules
from o2o_registration.quality.values import code, shows_nothing, tidy, whole

_REQUIRED = ("employee_id", "first_name", "last_name", "email")
_CODES = ("language", "contract_type", "company")


def prepare(frame: pd.DataFrame, rules: QualityRules) -> pd.DataFrame:
    """A new frame for the suite, its index the row_no; blank text becomes missing.

    Adds lag_minutes: how long before the window the row changed; 0 within it, missing for a future date.
    Raises ValueError for a missing column or a row_no that is not a unique integer.
    """
    index = _row_numbers(frame)
    ready = pd.DataFrame(index=index)
    for column in _REQUIRED:
        ready[column] = _texts(frame[column], index, _visible)
    ready["personnel_number"] = _texts(frame["personnel_number"], index, tidy)
    for column in _CODES:
        ready[column] = _texts(frame[column], index, code)
    ready["changed_at"] = _moments(frame["changed_at"], index)
    ready["lag_minutes"] = _lag_minutes(ready["changed_at"], rules)
    # What was counted or found for a value that is missing says nothing about the row.
    ready["rows_with_employee_id"] = _counts(frame["rows_with_employee_id"], ready["employee_id"])
    ready["people_with_email"] = _counts(frame["people_with_email"], ready["email"])
    holder = _texts(frame["email_registered_to"], index, whole)
    ready["email_registered_to"] = holder.where(ready["email"].notna(), None)
    return ready


def _row_numbers(frame: pd.DataFrame) -> pd.Index[Any]:
    missing = [column for column in COLUMNS if column not in frame.columns]
    if missing:
        raise ValueError(f"the candidates have no column {', '.join(missing)}")
    numbers = frame["row_no"]
    if len(frame) and not pd.api.types.is_integer_dtype(numbers.dtype):
        raise ValueError("row_no must be an integer in every row")
    if not numbers.is_unique:
        raise ValueError("row_no must be unique: a verdict has to find its row")
    # Without a name, Great Expectations reports failed rows by their index alone, and no value with it.
    index: pd.Index[Any] = pd.Index(numbers.to_numpy(dtype="int64"))
    return index


def _visible(value: str) -> str | None:
    tidied = tidy(value)
    return None if tidied is None or shows_nothing(tidied) else tidied


def _texts(column: pd.Series[Any], index: pd.Index[Any], read: Callable[[str], str | None]) -> pd.Series[Any]:
    missing = column.isna()
    values = [None if gone else read(str(value)) for value, gone in zip(column, missing, strict=True)]
    # object, not str: pandas would encode a str column for pyarrow where that is installed
    return pd.Series(values, index=index, dtype=object)


def _moments(column: pd.Series[Any], index: pd.Index[Any]) -> pd.Series[Any]:
    moments = pd.to_datetime(column, utc=True, errors="coerce").dt.as_unit("us")
    return moments.set_axis(index)


def _lag_minutes(changed_at: pd.Series[Any], rules: QualityRules) -> pd.Series[Any]:
    start = pd.Timestamp(rules.window_since or rules.window_until)
    minutes: pd.Series[Any] = (start - changed_at).dt.total_seconds().clip(lower=0) // 60
    # A date in the future would make the stalest batch look fresh.
    return minutes.where(changed_at <= pd.Timestamp(rules.window_until + rules.clock_skew))


def _counts(column: pd.Series[Any], counted: pd.Series[Any]) -> pd.Series[Any]:
    numbers = pd.to_numeric(column, errors="coerce").to_numpy("float64", na_value=float("nan"))
    return pd.Series(numbers, index=counted.index).where(counted.notna())
