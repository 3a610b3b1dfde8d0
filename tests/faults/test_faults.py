"""The short form of `make faults`: every kind of fault once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from demo.postgres import PostgresServer

from tests.faults import report
from tests.faults.__main__ import play, servers
from tests.faults.sabotage import SABOTAGES
from tests.faults.scenarios import SCENARIOS, SHORT, Scenario

SEED = 20
pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[PostgresServer, Path]]:
    """A server of its own, since it is killed now and then."""
    with servers() as found:
        yield found


@pytest.mark.parametrize("scenario", [one for one in SCENARIOS if one.short], ids=lambda one: one.title)
def test_nobody_is_lost_and_nobody_is_mailed_twice(scenario: Scenario, place: tuple[PostgresServer, Path]) -> None:
    """Whatever fails: everybody has one mail, but for what a policy repeated, once and marked."""
    verdict = play(scenario, SHORT, SEED, *place)
    assert verdict.good, report.why(verdict)
    assert verdict.injected > 0


@pytest.mark.parametrize("sabotage", SABOTAGES)
def test_the_harness_sees_a_broken_promise(sabotage: str, place: tuple[PostgresServer, Path]) -> None:
    """With one rule of the design taken out of the code, the table says so."""
    title, words = SABOTAGES[sabotage].caught_by, SABOTAGES[sabotage].words
    scenario = next(one for one in SCENARIOS if one.title == title)
    verdict = play(scenario, SHORT, SEED, *place, sabotage=sabotage)
    assert not verdict.good
    assert words in report.why(verdict)
