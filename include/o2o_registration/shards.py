"""A large batch is shared: how many `post_users` tasks call o2o, and what each of them may do.

They share the work by claiming it, not by a split of the people: a worker that dies or lags leaves its part to the
others, and a repeated shard finds what is left. The rate limit is kept by the ledger, see `Outbox.claim`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from o2o_registration.settings import DeliverySettings, Settings


@dataclass(frozen=True)
class Shard:
    """One of `shards` tasks, the first is number 0."""

    shard: int
    shards: int


def plan(people: int, settings: DeliverySettings) -> list[Shard]:
    """As many shards as that many people are worth: at least one, at most `max_shards`. Pure."""
    shards = max(1, min(settings.max_shards, math.ceil(people / settings.people_per_shard)))
    return [Shard(number, shards) for number in range(shards)]


def share(settings: Settings, shards: int) -> Settings:
    """One shard's part of what all may have in flight, and of the failures that an outage may leave in doubt. Pure."""
    delivery = settings.delivery
    part = {
        "concurrency": math.ceil(delivery.concurrency / shards),
        "breaker_failures": math.ceil(delivery.breaker_failures / shards),
    }
    return settings.model_copy(update={"delivery": delivery.model_copy(update=part)})
