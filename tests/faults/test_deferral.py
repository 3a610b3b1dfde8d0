"""o2o asks for hours: one run comes back then, the others neither wait nor fail, and HR goes on being read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from demo.postgres import PostgresServer

from tests.faults.__main__ import servers
from tests.faults.steps import Exit
from tests.faults.world import World, world

pytestmark = pytest.mark.integration
HOURS = 6 * 3600


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[PostgresServer, Path]]:
    with servers() as found:
        yield found


@pytest.fixture
def asked(place: tuple[PostgresServer, Path]) -> Iterator[World]:
    """A run has called two people, and o2o has asked it for six hours."""
    with world(*place, seed=1) as made:
        made.settings(delivery={"concurrency": 1})
        made.simulator.add_fault("status", status=429, share=1, headers={"Retry-After": str(HOURS)})
        made.hire(2)
        assert made.run() == Exit.DEFERRED
        yield made


def take_back(place: World, employee_id: str) -> None:
    with place.engine.begin() as connection:
        connection.execute(
            sa.text("update hr.employee set bike_interest = false, changed_at = now() where employee_id = :id"),
            {"id": employee_id},
        )


def test_only_the_run_that_was_told_to_wait_holds_a_place_among_the_active_ones(asked: World) -> None:
    """The others end well, settled, with their people pending; who loses interest meanwhile is never called."""
    for _ in range(2):
        asked.hire(1)
        assert asked.run() == Exit.SUCCESS
    take_back(asked, "E0")
    assert asked.run() == Exit.SUCCESS
    assert len(asked.deferred) == 1
    assert asked.failures == 0
    assert asked.ids("pending") == {"E1", "E2", "E3"}
    assert asked.ids("withdrawn") == {"E0"}
    summaries = asked.query("select calls, registered, settled_at is not null from o2o.run_summary order by started_at")
    assert summaries[1:] == [(0, 1, True), (0, 1, True), (0, 0, True)]
    assert "3 people stay pending" in Path(asked.folder / "tasks.log").read_text()
    asked.simulator.clear_faults()
    asked.pass_time(HOURS)
    asked.resume()
    assert asked.mails() == {"E1": 1, "E2": 1, "E3": 1}
    assert asked.query("select count(*) from o2o.run_summary where settled_at is null") == [(0,)]


def test_the_next_run_sends_them_should_the_one_that_waits_never_come_back(asked: World) -> None:
    """It was marked failed, say."""
    asked.deferred.clear()
    asked.hire(1)
    assert asked.run() == Exit.SUCCESS
    asked.simulator.clear_faults()
    asked.pass_time(HOURS)
    assert asked.run() == Exit.SUCCESS
    assert asked.mails() == {"E0": 1, "E1": 1, "E2": 1}
