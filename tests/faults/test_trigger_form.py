"""What somebody decides in the trigger form reaches the ledger, through the DAG's own tasks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.__main__ import servers
from tests.faults.steps import Exit
from tests.faults.world import World, world

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def place() -> Iterator[World]:
    with servers() as (postgres, folder), world(postgres, folder, seed=1) as made:
        made.settings(in_doubt={"policy": "hold", "warn_at": 2}, delivery={"breaker_failures": 99})
        yield made


@pytest.fixture
def doubtful(place: World) -> tuple[World, list[str]]:
    """Two more people in doubt, whom o2o has."""
    place.pass_time(3600)
    place.simulator.add_fault("reset_after_read", next=2, processed=True)
    ids = place.hire(2)
    place.run()
    assert place.ids("in_doubt") == set(ids)
    return place, ids


def log_of(place: World) -> str:
    return Path(place.folder / "tasks.log").read_text()


def test_the_action_concerns_the_named_employees_and_keeps_who_and_why(doubtful: tuple[World, list[str]]) -> None:
    """Confirmed one by one, then the rest; nobody is called again."""
    place, (first, second) = doubtful
    params = {"action": "confirm in doubt", "why": "on o2o's list", "employee_ids": [first, " "]}
    place.run(place.new_run("manual", params=params, user="anna"))
    assert place.ids("in_doubt") == {second}
    place.run(place.new_run("manual", params={**params, "employee_ids": []}, user="bob"))
    assert place.ids("in_doubt") == set()
    audit = place.query(f"select actor, detail from o2o.audit where event = 'confirmed' and employee_id = '{second}'")
    assert audit == [("bob", "o2o has this person: on o2o's list")]
    assert place.mails()[first] == place.mails()[second] == 1


def test_an_action_without_a_reason_fails_with_what_to_mend(doubtful: tuple[World, list[str]]) -> None:
    """Before anything is done."""
    place, ids = doubtful
    assert place.run(place.new_run("manual", params={"action": "release in doubt"})) == Exit.FAILED
    assert "'release in doubt' needs a reason" in log_of(place)
    assert place.ids("in_doubt") == set(ids)
    place.run(place.new_run("manual", params={"action": "confirm in doubt", "why": "there"}))


def test_many_people_in_doubt_are_a_warning_in_idle_runs_too(doubtful: tuple[World, list[str]]) -> None:
    """With how many, since when, and what to do about it."""
    place, _ = doubtful
    before = len(log_of(place))
    assert place.run() == Exit.SKIPPED
    said = log_of(place)[before:]
    assert "2 people are in doubt, the first since 20" in said
    assert "(in_doubt.warn_at is 2)" in said
    assert "[warning" in said
