"""Runs the suite over one chunk of candidates. Heavy to import: for when there are rows."""

from __future__ import annotations

import threading
from typing import Any

import great_expectations
import pandas as pd
from great_expectations import ExpectationSuite
from great_expectations.data_context.types.base import ProgressBarsConfig

from o2o_registration.quality.frame import prepare
from o2o_registration.quality.merge import COUNTS, FOLDS, Document, findings, judge
from o2o_registration.quality.model import QualityCheckError, QualityResult, QualityRules
from o2o_registration.quality.reasons import reasons_by_row
from o2o_registration.quality.silence import quiet
from o2o_registration.quality.suite import NAME, build_suite

# Every failed row by its index, and no value with it.
_RESULT_FORMAT = {
    "result_format": "COMPLETE",
    "exclude_unexpected_values": True,
    "return_unexpected_index_query": False,
    "partial_unexpected_count": 0,
}
# The mapping may know hundreds of companies; the document of every run need not repeat them.
_VALUES_KEPT = 20
# Great Expectations keeps its current context in a global.
_one_at_a_time = threading.Lock()


def check(frame: pd.DataFrame, rules: QualityRules) -> QualityResult:
    """The verdict on a chunk of candidates: a frame with `model.COLUMNS`, one row per row_no, in any order.

    Several chunks of one batch become one verdict by `merge`. Raises ValueError for a frame of another shape
    and QualityCheckError when an expectation could not be evaluated.
    """
    results = _validate(prepare(frame, rules), build_suite(rules))
    failures = reasons_by_row(results, frame)
    document = _document(results, len(frame), len(failures))
    return QualityResult(rows=len(frame), failures=failures, findings=findings(document), document=document)


def _validate(ready: pd.DataFrame, suite: ExpectationSuite) -> list[Any]:
    order = [expectation.meta["code"] for expectation in suite.expectations]
    with _one_at_a_time:
        quiet()
        context = great_expectations.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        source = context.data_sources.add_pandas("hr_warehouse")
        whole = source.add_dataframe_asset("candidates").add_batch_definition_whole_dataframe("chunk")
        batch = whole.get_batch({"dataframe": ready})
        results = list(batch.validate(suite, result_format=_RESULT_FORMAT).results)
        # The context stays behind in that global; the people must not.
        context.data_sources.delete("hr_warehouse")
    _raise_if_not_evaluated(results)
    _raise_if_incomplete(results)
    return sorted(results, key=lambda result: order.index(result.expectation_config.meta["code"]))


def _raise_if_not_evaluated(results: list[Any]) -> None:
    broken = [result.expectation_config.meta["code"] for result in results if _raised(result.exception_info)]
    if broken:
        # Neither the exception's text nor its trace: both can quote rows.
        raise QualityCheckError(
            f"Great Expectations could not evaluate {', '.join(sorted(broken))}: no row has a verdict."
            " Mend the suite (include/o2o_registration/quality/suite.py), then clear the task."
        )


def _raise_if_incomplete(results: list[Any]) -> None:
    """A check of rows that does not name each failed row would let bad ones pass as clean."""
    for result in results:
        counts, config = result.result, result.expectation_config
        if config.type in FOLDS:
            continue
        if counts.get("unexpected_count") != len(counts.get("unexpected_index_list") or ()):
            raise QualityCheckError(
                f"{config.type} ({config.meta['code']}) does not name the rows that fail it. Use an"
                " expectation about each value of a column, or give a check of the whole batch its place in"
                " merge.FOLDS."
            )


def _raised(exception_info: dict[str, Any]) -> bool:
    # Either the facts themselves or, for an error in a metric, one such dict per metric.
    nested = [value for value in exception_info.values() if isinstance(value, dict)]
    return any(info.get("raised_exception") for info in (exception_info, *nested))


def _document(results: list[Any], rows: int, bad_rows: int) -> Document:
    return judge(
        {
            "suite_name": NAME,
            "suite_parameters": {},
            "meta": {
                "great_expectations_version": great_expectations.__version__,
                "rows": rows,
                "bad_rows": bad_rows,
            },
            "results": [_entry(result) for result in results],
        }
    )


def _entry(result: Any) -> Document:
    """What may be kept of one result: named counts, so that nothing new can slip in with a new version."""
    config = result.expectation_config.to_json_dict()
    kwargs = {name: value for name, value in config["kwargs"].items() if name != "batch_id"}
    if len(kwargs.get("value_set", ())) > _VALUES_KEPT:
        hidden = len(kwargs["value_set"]) - _VALUES_KEPT
        kwargs["value_set"] = [*kwargs["value_set"][:_VALUES_KEPT], f"… and {hidden} more"]
    if config["type"] in FOLDS:
        observed = result.result["observed_value"]
        counts: Document = {"observed_value": None if pd.isna(observed) else int(observed)}
    else:
        counts = {name: int(result.result.get(name) or 0) for name in COUNTS}
    kept = {name: config.get(name) for name in ("type", "meta", "severity", "description")}
    return {
        "expectation_config": {**kept, "kwargs": kwargs},
        "result": counts,
        "exception_info": {"raised_exception": False, "exception_message": None, "exception_traceback": None},
    }
