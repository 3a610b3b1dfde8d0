"""All that can be injected, each a row of the table; in a short form for every test run and a long one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.faults import airflow, database, kills, overlap, partner
from tests.faults.points import POST_POINTS
from tests.faults.world import World


@dataclass(frozen=True)
class Size:
    """How often a fault is injected, and into how many people's calls."""

    kills: int
    strikes: int
    people: int
    rounds: int
    crowd: int


LONG = Size(kills=10, strikes=20, people=60, rounds=6, crowd=400)
SHORT = Size(kills=1, strikes=2, people=15, rounds=1, crowd=60)


@dataclass(frozen=True)
class Scenario:
    """`play` injects and drains, and returns how often it struck; `short` ones are in the short form too."""

    name: str
    play: Callable[[World, Size], int]
    policy: str = "resend"
    short: bool = True

    @property
    def title(self) -> str:
        return f"{self.name} ({self.policy})"


def _kills() -> Iterator[Scenario]:
    for policy in ("hold", "resend"):
        # the short form has each kill once, under the one policy or the other
        for number, stage in enumerate(("extract", "check", "build", "post", "load")):
            yield Scenario(
                f"SIGKILL in {stage}",
                lambda world, size, stage=stage: kills.clocked(world, stage, size.kills),  # type: ignore[misc]
                policy,
                short=(number % 2 == 0) == (policy == "hold"),
            )
        for number, point in enumerate(POST_POINTS):
            yield Scenario(
                f"SIGKILL {point}",
                lambda world, size, point=point: kills.pointed(world, point, size.kills),  # type: ignore[misc]
                policy,
                short=(number % 2 == 0) == (policy == "resend"),
            )


def _freezes() -> Iterator[Scenario]:
    for policy in ("hold", "resend"):
        yield Scenario(
            "SIGSTOP of post, later SIGCONT",
            lambda world, size: kills.frozen(world, size.rounds),
            policy,
            short=False,
        )


def _partner() -> Iterator[Scenario]:
    for name, fault in partner.FAULTS.items():
        yield Scenario(
            f"o2o: {name}",
            lambda world, size, fault=fault: partner.single(world, fault, size.people),  # type: ignore[misc]
            # each alone is in tests/integration/test_delivery.py
            short=False,
        )
    for name, fault in partner.STOPPERS.items():
        yield Scenario(
            f"o2o: {name}",
            lambda world, size, fault=fault: partner.stopping(world, fault, size.people),  # type: ignore[misc]
            short=name == "redirect",
        )
    for policy in ("hold", "resend"):
        yield Scenario(
            "o2o: all of these mixed",
            lambda world, size: partner.mixed(world, size.crowd),
            policy,
            short=policy == "resend",
        )
    for name, options in (("reset after reading", {"processed": False}), ("processed, no answer", {"processed": True})):
        yield Scenario(
            f"o2o: an hour's outage, {name}",
            lambda world, size, options=options: _outage(world, size, options),  # type: ignore[misc]
            short=options == {"processed": True},
        )


DOUBTS_OF_AN_HOUR = 12
"""Five failures open the breaker, then its probes: after 1, 2, 4, 8, 16 and 30 minutes."""


def _outage(world: World, size: Size, options: dict[str, bool]) -> int:
    struck, doubtful, busiest = partner.outage(world, size.crowd, ("reset_after_read", dict(options)))
    assert doubtful <= DOUBTS_OF_AN_HOUR, f"{doubtful} people in doubt after an hour"
    # 50 a second in slices of a tenth
    assert busiest <= 55 + 5, f"{busiest} calls in one second after the outage"
    return struck


def _others() -> Iterator[Scenario]:
    yield Scenario(
        "overlapping runs", lambda world, size: overlap.parallel(world, size.rounds, size.crowd // 2), "hold"
    )
    yield Scenario("late rows, failed run, three days down", lambda world, _: overlap.gaps(world), "hold")
    yield Scenario("clock that jumps", lambda world, _: overlap.clock_jumps(world), "hold")
    strikes = {
        "SIGKILL of PostgreSQL": database.kill,
        "restart of PostgreSQL": database.restart,
        "connections cut": database.cut,
        "no room for PostgreSQL's log": database.no_room_for_wal,
    }
    for name, disturb in strikes.items():
        for policy in ("hold", "resend") if disturb is database.kill else ("resend",):
            yield Scenario(
                name,
                lambda world, size, disturb=disturb: database.disturbed(world, disturb, size.strikes),  # type: ignore[misc]
                policy,
                short=policy == "resend" and disturb in (database.kill, database.cut),
            )
    yield Scenario("a stranger's lock", lambda world, _: database.locked(world, 2), "hold", short=False)
    yield Scenario("files cannot grow", lambda world, _: database.full(world, 2), "hold", short=False)
    yield Scenario(
        "SIGKILL of Airflow's scheduler, tasks, supervisors",
        lambda world, size: airflow.under_fire(world, size.rounds),
        # a real Airflow in a short form is in tests/e2e
        short=False,
    )


SCENARIOS = (*_kills(), *_freezes(), *_partner(), *_others())
