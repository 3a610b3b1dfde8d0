"""Faults on demand: which kinds there are, how one is described, and which call it strikes."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from o2o_simulator import fault_answers as answers
from o2o_simulator.errors import FaultError
from o2o_simulator.fault_answers import FaultOptions, Struck


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault: what it does, the options it takes, and whether the person is registered by default.

    `reads` is False when the call must not even be read.
    """

    strike: Callable[[Struck], Awaitable[web.StreamResponse]]
    options: tuple[str, ...] = ()
    processed: bool = False
    required: str | None = None
    reads: bool = True


KINDS: dict[str, Kind] = {
    "status": Kind(answers.status, ("status", "body", "headers", "processed"), required="status"),
    "latency": Kind(answers.latency, ("seconds",), processed=True, required="seconds"),
    "reset_before_read": Kind(answers.reset, reads=False),
    "reset_after_read": Kind(answers.reset, ("processed",), processed=True),
    "hang": Kind(answers.hang, ("seconds", "processed"), processed=True),
    "half_body": Kind(answers.half_body, ("processed",), processed=True),
    "html": Kind(answers.html, ("processed",)),
    "contradiction": Kind(answers.contradiction, ("processed",)),
    "not_json": Kind(answers.not_json, ("processed",)),
    "slow_body": Kind(answers.slow_body, ("interval", "processed"), processed=True),
    "huge_body": Kind(answers.huge_body, ("bytes", "processed"), processed=True),
    "redirect": Kind(answers.redirect, ("location",)),
}


@dataclass(slots=True)
class Fault:
    """An active fault: strikes the `remaining` next calls, or each call with the probability `share`."""

    kind: str
    options: FaultOptions
    remaining: int | None
    share: float | None
    seed: int
    fired: int = 0
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def strikes(self) -> bool:
        """Whether the call at hand is struck; counts it if so."""
        struck = bool(self.remaining) if self.share is None else self._random.random() < self.share
        if struck:
            self.fired += 1
            self.remaining = None if self.remaining is None else self.remaining - 1
        return struck

    def as_json(self) -> dict[str, object]:
        """The fault as it could be posted again, and how often it fired."""
        when: dict[str, object] = {"next": self.remaining}
        if self.share is not None:
            when = {"share": self.share, "seed": self.seed}
        options = {name: getattr(self.options, name) for name in KINDS[self.kind].options}
        return {"kind": self.kind, **when, **options, "fired": self.fired}


class FaultBoard:
    """The active faults, tried for each call in the order they were added; the first that strikes wins."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, description: Mapping[str, object]) -> Fault:
        """Activate a fault; FaultError naming everything that is wrong with its description."""
        fault = parse_fault(description)
        self._faults.append(fault)
        return fault

    def clear(self) -> int:
        """Deactivate all; gives their number. Calls that are already struck stay so."""
        count = len(self._faults)
        self._faults.clear()
        return count

    def draw(self) -> Fault | None:
        """The fault that strikes the call at hand, if any; one that is used up leaves the board."""
        for fault in self._faults:
            if fault.strikes():
                if fault.remaining == 0:
                    self._faults.remove(fault)
                return fault
        return None

    def active(self) -> list[Fault]:
        """A copy, in the order they are tried."""
        return self._faults.copy()


def _is_count(value: object) -> str | None:
    good = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    return None if good else "must be a whole number of at least 1"


def _is_seed(value: object) -> str | None:
    return None if isinstance(value, int) and not isinstance(value, bool) else "must be a whole number"


def _is_share(value: object) -> str | None:
    return None if _is_number(value, 0, 1) else "must be a number from 0 to 1"


def _is_duration(value: object) -> str | None:
    return None if _is_number(value, 0, 1e6) else "must be a number of seconds, 0 or more"


def _is_duration_or_null(value: object) -> str | None:
    return None if value is None else _is_duration(value)


def _is_flag(value: object) -> str | None:
    return None if isinstance(value, bool) else "must be true or false"


def _is_status(value: object) -> str | None:
    good = isinstance(value, int) and not isinstance(value, bool) and 200 <= value <= 599
    return None if good else "must be a status code from 200 to 599"


def _is_header_mapping(value: object) -> str | None:
    if not isinstance(value, Mapping):
        return "must be an object of header names and values"
    for name, text in value.items():
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
            return f"has {name!r}, which is no header name"
        if name.lower() in ("content-length", "transfer-encoding"):
            return f"must not set {name}; the kind half_body lies about the length"
        if not isinstance(text, str) or not text.isprintable():
            return f"has a value for {name} that is no single line of text"
    return None


def _is_location(value: object) -> str | None:
    good = isinstance(value, str) and value.isprintable() and value.startswith(("/", "http://", "https://"))
    return None if good else "must be a path or an http address"


def _is_body(value: object) -> str | None:
    return None if value is None or isinstance(value, str | dict | list) else "must be a string, an object or a list"


def _is_number(value: object, low: float, high: float) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and low <= value <= high
    )


_WHEN = ("next", "share", "seed")
_CHECKS: dict[str, Callable[[object], str | None]] = {
    "next": _is_count,
    "share": _is_share,
    "seed": _is_seed,
    "processed": _is_flag,
    "status": _is_status,
    "body": _is_body,
    "headers": _is_header_mapping,
    "seconds": _is_duration,
    "interval": _is_duration,
    "bytes": _is_count,
    "location": _is_location,
}
_CHECKS_OF_KIND: dict[tuple[str, str], Callable[[object], str | None]] = {("hang", "seconds"): _is_duration_or_null}


def parse_fault(description: Mapping[str, object]) -> Fault:
    """A fault from {"kind", "next" or "share" (and "seed"), options}; FaultError names all that is wrong."""
    name = description.get("kind")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None or not isinstance(name, str):
        raise FaultError(f"kind {name!r} is unknown; there are {', '.join(KINDS)}")
    given = {option: value for option, value in description.items() if option != "kind"}
    problems = [*_option_problems(name, kind, given), *_when_problems(given)]
    if problems:
        raise FaultError(f"{name}: {'; '.join(problems)}")
    options = {"processed": kind.processed} | {option: given[option] for option in kind.options if option in given}
    seed = given.get("seed")
    return Fault(
        kind=name,
        options=FaultOptions(**options),  # type: ignore[arg-type]  # each was checked against _CHECKS
        remaining=given.get("next"),  # type: ignore[arg-type]
        share=given.get("share"),  # type: ignore[arg-type]
        seed=seed if isinstance(seed, int) else random.randrange(2**32),
    )


def _option_problems(name: str, kind: Kind, given: Mapping[str, object]) -> list[str]:
    problems = []
    allowed = (*_WHEN, *kind.options)
    for option, value in given.items():
        check = _CHECKS_OF_KIND.get((name, option)) or _CHECKS.get(option)
        if option not in allowed or check is None:
            problems.append(f"unknown option {option!r}, it takes {', '.join(allowed)}")
        elif reason := check(value):
            problems.append(f"{option} {reason}")
    if kind.required is not None and kind.required not in given:
        problems.append(f"{kind.required} is missing")
    return problems


def _when_problems(given: Mapping[str, object]) -> list[str]:
    problems = []
    if ("next" in given) == ("share" in given):
        problems.append("say either next (so many calls) or share (0 to 1; 1 means every call)")
    if "seed" in given and "share" not in given:
        problems.append("seed needs share")
    return problems
