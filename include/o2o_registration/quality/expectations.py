"""Expectations that Great Expectations does not have: a yes-or-no question about text, asked of every value.

Its regular expressions are no way out: where pyarrow is installed, pandas hands them to RE2,
which reads letters of other scripts differently from Python.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider import (
    ColumnMapMetricProvider,
    column_condition_partial,
)

from o2o_registration.quality import values


class _Question(ColumnMapMetricProvider):  # type: ignore[misc]
    """A metric that asks `answer` of each value; missing values never get here."""

    answer: Callable[[str], bool]

    @column_condition_partial(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(cls, column: pd.Series[Any], **_: object) -> pd.Series[Any]:  # noqa: N805
        return pd.Series([cls.answer(value) for value in column], index=column.index, dtype="bool")


class ColumnValuesPrintable(_Question):
    condition_metric_name = "column_values.o2o_printable"
    answer = staticmethod(values.is_printable)


class ColumnValuesHaveLetter(_Question):
    condition_metric_name = "column_values.o2o_letter"
    answer = staticmethod(values.has_letter)


class ColumnValuesAreEmails(_Question):
    condition_metric_name = "column_values.o2o_email"
    answer = staticmethod(values.is_email)


class ExpectColumnValuesToBePrintable(ColumnMapExpectation):  # type: ignore[misc]
    """Expect no control, bidirectional or invisible characters."""

    map_metric = ColumnValuesPrintable.condition_metric_name


class ExpectColumnValuesToHaveALetter(ColumnMapExpectation):  # type: ignore[misc]
    """Expect at least one letter of any script."""

    map_metric = ColumnValuesHaveLetter.condition_metric_name


class ExpectColumnValuesToBeEmailAddresses(ColumnMapExpectation):  # type: ignore[misc]
    """Expect addresses that `email-validator` accepts by syntax, without asking any server."""

    map_metric = ColumnValuesAreEmails.condition_metric_name
