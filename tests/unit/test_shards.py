"""How many tasks share a batch, and what each may do."""

from __future__ import annotations

import pytest
from o2o_registration.settings import DeliverySettings, Settings
from o2o_registration.shards import Shard, plan, share

SETTINGS = DeliverySettings(people_per_shard=100, max_shards=4)


@pytest.mark.parametrize(
    ("people", "shards"),
    [(0, 1), (1, 1), (100, 1), (101, 2), (400, 4), (1_000_000, 4)],
    ids=lambda number: f"{number:,}",
)
def test_a_batch_has_a_shard_for_each_so_many_people_and_no_more_than_allowed(people: int, shards: int) -> None:
    assert plan(people, SETTINGS) == [Shard(number, shards) for number in range(shards)]


def test_shards_have_no_more_calls_in_flight_together_than_one_alone() -> None:
    """Rounded up, so that each has at least one."""
    settings = Settings(delivery=DeliverySettings(concurrency=64, breaker_failures=5))
    assert share(settings, 1) == settings
    assert (share(settings, 4).delivery.concurrency, share(settings, 4).delivery.breaker_failures) == (16, 2)
    assert (share(settings, 100).delivery.concurrency, share(settings, 100).delivery.breaker_failures) == (1, 1)
