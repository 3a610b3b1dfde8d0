"""Chunks of a batch become one verdict."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from o2o_registration.quality import QualityResult, merge
from o2o_registration.quality.check import check
from quality_candidates import SINCE, frame, rules

ROWS = st.sampled_from(
    [
        {},
        {"email": "x"},
        {"language": None, "company": "?"},
        {"changed_at": SINCE - timedelta(days=2)},
        {"changed_at": SINCE - timedelta(days=9)},
        {"changed_at": None},
    ]
)


@settings(max_examples=4, deadline=None)
@given(rows=st.lists(ROWS, min_size=1, max_size=12), size=st.integers(3, 7), expected=st.integers(1, 12))
def test_chunks_give_the_verdict_of_the_whole(rows: list[dict[str, object]], size: int, expected: int) -> None:
    """However a batch is cut, reasons, findings and document are those of the uncut batch."""
    limits = rules(expected_volume_max=expected)
    batch = frame(*rows)
    chunks = [check(batch.iloc[start : start + size], limits) for start in range(0, len(batch), size)]
    assert merge(chunks) == check(batch, limits)


def test_merging_leaves_the_chunks_as_they_are() -> None:
    """The caller may still read them."""
    chunk = check(frame({}), rules())
    rows = [
        result["result"]["element_count"] for result in chunk.document["results"] if "element_count" in result["result"]
    ]
    merge([chunk, check(frame({}, first_row_no=1), rules())])
    assert set(rows) == {1}
    assert chunk.document == check(frame({}), rules()).document


def test_nothing_cannot_be_merged() -> None:
    """A run without rows has no verdict to merge."""
    with pytest.raises(ValueError, match="nothing to merge"):
        merge([])


def test_a_row_that_fails_in_two_chunks_is_refused() -> None:
    """Row numbers that repeat across chunks would lose reasons."""
    chunk = check(frame({"email": "x"}), rules())
    with pytest.raises(ValueError, match="two chunks"):
        merge([chunk, chunk])


@pytest.mark.parametrize(
    "other",
    [rules(languages=frozenset({"xx"})), rules(expected_volume_max=7), rules(max_lag=timedelta(hours=1))],
)
def test_chunks_under_different_rules_are_refused(other: object) -> None:
    """Their counts do not belong together."""
    chunks: list[QualityResult] = [check(frame({}), rules()), check(frame({}), other)]  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="different rules"):
        merge(chunks)
