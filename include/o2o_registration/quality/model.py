"""What goes into the check and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from o2o_registration.config import SOURCE_FIELDS
from o2o_registration.errors import O2OError

CONTEXT_FIELDS = ("rows_with_employee_id", "people_with_email", "email_registered_to")
"""What one row cannot know about itself: counted over the batch and looked up in the ledger by the caller."""

COLUMNS = ("row_no", *SOURCE_FIELDS, "changed_at", *CONTEXT_FIELDS)
"""The columns that the checked frame must have; others are ignored."""


class QualityCheckError(O2OError):
    """The checks themselves could not run, so nothing is known about the rows."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a row fails: `code` for machines, `words` for the HR desk. No personal value, but not HTML-safe."""

    code: str
    words: str


@dataclass(frozen=True, slots=True)
class BatchFinding:
    """Something odd about the batch as a whole; a warning that fails no row."""

    code: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityRules:
    """What the rows are held against: the mapping's keys, the run's window and the limits.

    The keys are compared with `text.comparable`. Raises ValueError when the window has no time zone.
    """

    languages: frozenset[str]
    contract_types: frozenset[str]
    companies: frozenset[str]
    window_since: datetime | None
    window_until: datetime
    # A batch of more rows than this is worth a warning; None: any size is usual.
    expected_volume_max: int | None = None
    # HR's clock may run ahead of ours by this much before a date of change counts as one in the future.
    clock_skew: timedelta = timedelta(minutes=5)
    # How long before the window even the newest row may have changed before the warehouse counts as late. The
    # default is the usual lookback: rows that are later than that are not read at all.
    max_lag: timedelta = timedelta(hours=24)

    def __post_init__(self) -> None:
        for name, moment in (("window_since", self.window_since), ("window_until", self.window_until)):
            if moment is not None and moment.utcoffset() is None:
                raise ValueError(f"{name} has no time zone; give it in UTC")


@dataclass(frozen=True, slots=True)
class QualityResult:
    """The verdict on a chunk, or on a whole batch after `merge`.

    `failures` holds every reason of each bad row, by row_no and in the suite's order; rows that are not in it
    are clean. `document` is Great Expectations' result as JSON: counts and percentages, no value of any row.
    """

    rows: int
    failures: dict[int, tuple[Reason, ...]] = field(repr=False)
    findings: tuple[BatchFinding, ...]
    document: dict[str, Any] = field(repr=False)

    @property
    def bad_rows(self) -> int:
        """How many rows have at least one reason."""
        return len(self.failures)
