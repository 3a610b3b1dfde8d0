"""Great Expectations' result without any value of a row, and the results of a batch's chunks as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any

from o2o_registration.quality.model import BatchFinding, QualityResult, Reason

Document = dict[str, Any]

COUNTS = ("element_count", "unexpected_count", "missing_count")

FOLDS: dict[str, Callable[[Iterable[float]], float]] = {
    "expect_table_row_count_to_be_between": sum,
    "expect_column_min_to_be_between": min,
}
"""The checks of a batch as a whole, and how the chunks' observations become the batch's."""


def merge(results: Sequence[QualityResult]) -> QualityResult:
    """The verdict on a batch from the verdicts on its chunks, whole-batch findings judged anew.

    Raises ValueError for no result at all, for chunks held against different rules, and for a row_no that
    fails in two chunks.
    """
    if not results:
        raise ValueError("nothing to merge")
    failures: dict[int, tuple[Reason, ...]] = {}
    for result in results:
        failures |= result.failures
    if len(failures) != sum(result.bad_rows for result in results):
        raise ValueError("a row_no failed in two chunks: each row belongs to exactly one")
    document = merge_documents([result.document for result in results])
    return QualityResult(
        rows=sum(result.rows for result in results),
        failures=failures,
        findings=findings(document),
        document=document,
    )


def merge_documents(documents: Sequence[Document]) -> Document:
    """One document with the counts of all; percentages, verdicts and statistics follow from them."""
    merged = deepcopy(documents[0])
    if any(_rules(document) != _rules(merged) for document in documents):
        raise ValueError("the chunks were held against different rules")
    for count in ("rows", "bad_rows"):
        merged["meta"][count] = sum(document["meta"][count] for document in documents)
    for position, entry in enumerate(merged["results"]):
        parts = [document["results"][position]["result"] for document in documents]
        entry["result"] = _merge_counts(parts, entry["expectation_config"]["type"])
    return judge(merged)


def _rules(document: Document) -> list[Document]:
    return [entry["expectation_config"] for entry in document["results"]]


def _merge_counts(parts: list[Document], kind: str) -> Document:
    if kind in FOLDS:
        observed = [part["observed_value"] for part in parts if part["observed_value"] is not None]
        return {"observed_value": FOLDS[kind](observed) if observed else None}
    return {name: sum(part[name] for part in parts) for name in COUNTS}


def judge(document: Document) -> Document:
    """Fill in, from the counts alone, what follows from them: percentages, successes and statistics."""
    for entry in document["results"]:
        result = entry["result"]
        if "observed_value" in result:
            entry["success"] = not _exceeded(entry)
        else:
            entry["success"] = result["unexpected_count"] == 0
            result["unexpected_percent"] = _percent(
                result["unexpected_count"], result["element_count"] - result["missing_count"]
            )
            result["missing_percent"] = _percent(result["missing_count"], result["element_count"])
    passed = sum(entry["success"] for entry in document["results"])
    total = len(document["results"])
    document["success"] = passed == total
    document["statistics"] = {
        "evaluated_expectations": total,
        "successful_expectations": passed,
        "unsuccessful_expectations": total - passed,
        "success_percent": _percent(passed, total),
    }
    return document


def _exceeded(entry: Document) -> bool:
    observed, limit = entry["result"]["observed_value"], entry["expectation_config"]["kwargs"]["max_value"]
    return observed is not None and observed > limit


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0


def findings(document: Document) -> tuple[BatchFinding, ...]:
    """The warnings about the batch as a whole, in the suite's order."""
    found = []
    for entry in document["results"]:
        if "observed_value" in entry["result"] and not entry["success"]:
            config = entry["expectation_config"]
            words = config["meta"]["words"].format(
                observed=f"{entry['result']['observed_value']:,}", limit=f"{config['kwargs']['max_value']:,}"
            )
            found.append(BatchFinding(config["meta"]["code"], words))
    return tuple(found)
