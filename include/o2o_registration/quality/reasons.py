"""From failed expectations to reasons per row, in the suite's order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from o2o_registration.quality.model import Reason
from o2o_registration.quality.values import describe_code, describe_email_mistake, describe_unprintable, tidy

DETAILS: dict[str, Callable[[str], str]] = {
    "email_mistake": describe_email_mistake,
    "unprintable": describe_unprintable,
    "code": describe_code,
}
"""What fills `{detail}` in a reason's words, from the row's own value; none of them quotes a personal one."""


def reasons_by_row(results: Iterable[Any], frame: pd.DataFrame) -> dict[int, tuple[Reason, ...]]:
    """All reasons of each failed row, by row_no ascending; `frame` holds the values as they came."""
    failures: dict[int, list[Reason]] = {}
    values = frame.set_index("row_no")
    for result in results:
        rows = result.result.get("unexpected_index_list") or ()
        if rows:
            for row_no, reason in _reasons(result.expectation_config, rows, values):
                failures.setdefault(row_no, []).append(reason)
    return {row_no: tuple(failures[row_no]) for row_no in sorted(failures)}


def _reasons(config: Any, rows: list[Any], values: pd.DataFrame) -> Iterable[tuple[int, Reason]]:
    code, words = config.meta["code"], config.meta["words"]
    detail = DETAILS.get(config.meta.get("detail", ""))
    if detail is None:
        reason = Reason(code, words)
        return ((int(row_no), reason) for row_no in rows)
    # A batch fails in few ways: equal reasons are one object.
    known: dict[str, Reason] = {}
    detailed = []
    for row_no, value in zip(rows, values.loc[rows, config.kwargs["column"]], strict=True):
        found = detail(tidy(str(value)) or "")
        reason = known.setdefault(found, Reason(code, words.replace("{detail}", found)))
        detailed.append((int(row_no), reason))
    return detailed
