"""How many people are claimed ahead of the connections that fall free."""

from __future__ import annotations

import pytest
from o2o_registration.pace import Pace


def paced(calls_per_second: float, claim_seconds: float, limit: int = 64) -> Pace:
    pace = Pace(limit)
    for second in range(60):
        pace.claimed(second, claim_seconds, int(second * calls_per_second))
    return pace


@pytest.mark.parametrize(
    ("calls_per_second", "claim_seconds", "ahead"),
    [
        pytest.param(1280, 0.007, 17, id="fast: two claims' worth"),
        pytest.param(50, 0.007, 0, id="the default rate limit: nobody"),
        pytest.param(6.4, 0.007, 0, id="o2o takes ten seconds: nobody"),
        pytest.param(9000, 0.02, 64, id="never more than the limit"),
    ],
)
def test_as_many_are_claimed_ahead_as_calls_end_meanwhile(
    calls_per_second: float, claim_seconds: float, ahead: int
) -> None:
    assert paced(calls_per_second, claim_seconds).ahead == ahead


def test_nobody_is_claimed_ahead_before_the_pace_is_known() -> None:
    pace = Pace(64)
    pace.claimed(0.0, 0.007, 0)
    assert pace.ahead == 0


def test_a_falling_pace_claims_fewer_ahead_within_seconds() -> None:
    pace = paced(1280, 0.007)
    for second in range(60, 75):
        pace.claimed(second, 0.007, 60 * 1280 + (second - 60) * 5)
    assert pace.ahead == 0
