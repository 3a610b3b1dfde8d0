"""No gaps: each window begins where the last success ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from o2o_registration.errors import ConfigurationError
from o2o_registration.window import BEGINNING, Request, plan

DAY = timedelta(hours=24)
NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
INTERVAL = (NOON - timedelta(minutes=5), NOON)


def test_the_first_run_reads_everything() -> None:
    """Nobody who was interested before the installation is forgotten."""
    run = plan(Request("r", "scheduled", INTERVAL, NOON), None, DAY)
    assert (run.window.since, run.window.until, run.contiguous) == (BEGINNING, NOON, True)


def test_after_three_days_of_downtime_the_window_reaches_back_to_the_watermark() -> None:
    """The interval alone would leave a hole of three days."""
    watermark = NOON - timedelta(days=3)
    assert plan(Request("r", "scheduled", INTERVAL, NOON), watermark, DAY).window.since == watermark - DAY


def test_a_watermark_in_the_future_leaves_no_gap() -> None:
    """A clock that jumped ahead and came back: the interval's own begin counts."""
    run = plan(Request("r", "manual", None, NOON), NOON + DAY, DAY)
    assert run.window.since == NOON - DAY


def test_a_backfill_reads_its_interval_and_may_not_move_the_watermark_over_a_hole() -> None:
    """An old interval is no proof that what came after the watermark was read."""
    run = plan(Request("r", "backfill", INTERVAL, NOON), NOON - timedelta(days=30), timedelta(0))
    assert (run.window.since, run.contiguous) == (INTERVAL[0], False)


@pytest.mark.parametrize("request_", [{"dry_run": True}, {"employee_ids": ("E1",)}])
def test_a_run_that_leaves_people_out_does_not_move_the_watermark(request_: dict[str, object]) -> None:
    """A dry run and a run for named people have not read the window for everybody."""
    assert not plan(Request("r", "manual", None, NOON, **request_), NOON, DAY).contiguous  # type: ignore[arg-type]


def test_a_window_that_ends_before_it_begins_is_a_clear_error() -> None:
    """Named as the trigger form names it."""
    with pytest.raises(ConfigurationError, match="'since' and 'until'"):
        plan(Request("r", "manual", None, NOON, since=NOON, until=NOON - DAY), None, DAY)
