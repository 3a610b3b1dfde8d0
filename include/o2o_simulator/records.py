"""What the simulator remembers: all that happens is one of these events, and a journal line is one event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum


class Subject(StrEnum):
    """The subject lines of the e-mails that o2o sends."""

    WELCOME = "Welcome and set password"
    EXISTING = "You already have account"
    FAILED = "Registration failed"


@dataclass(frozen=True, slots=True)
class Mail:
    """One e-mail that o2o would have sent; `call` is the number of the call that caused it."""

    call: int
    at: datetime
    to: str
    subject: Subject
    employee_id: str | None


@dataclass(frozen=True, slots=True)
class CallArrived:
    """A POST to user.create reached the server; `fault` is the kind of the fault that struck it, if any."""

    call: int
    at: datetime
    fault: str | None


@dataclass(frozen=True, slots=True)
class CallAnswered:
    """The server was done with a call; `status` is None when no complete answer was sent."""

    call: int
    status: int | None
    employee_id: str | None


@dataclass(frozen=True, slots=True)
class OtherRequest:
    """A request that was no call; `token_leaked` when it brought the token to the target of a redirect."""

    status: int
    token_leaked: bool


@dataclass(frozen=True, slots=True)
class Emptied:
    """Someone reset the mailbox: mails, people, calls and counters."""


Event = Mail | CallArrived | CallAnswered | OtherRequest | Emptied

EVENTS: dict[str, type[Event]] = {
    "mail": Mail,
    "call": CallArrived,
    "answer": CallAnswered,
    "request": OtherRequest,
    "reset": Emptied,
}
_NAMES = {event: name for name, event in EVENTS.items()}
_FIELDS = {event: tuple(field.name for field in fields(event)) for event in EVENTS.values()}

# Attribute name -> the name that o2o's API and therefore every JSON answer uses.
_JSON_NAMES = {"employee_id": "partner_EmployeeID"}
_TYPES: dict[str, tuple[type, ...]] = {
    "call": (int,),
    "at": (str,),
    "to": (str,),
    "subject": (str,),
    "employee_id": (str, type(None)),
    "status": (int, type(None)),
    "fault": (str, type(None)),
    "token_leaked": (bool,),
}


def as_json(event: Event) -> dict[str, object]:
    """The event's fields under their JSON names, times in ISO 8601."""
    row: dict[str, object] = {}
    for name in _FIELDS[type(event)]:
        value = getattr(event, name)
        row[_JSON_NAMES.get(name, name)] = value.isoformat() if name == "at" else value
    return row


def to_line(event: Event) -> dict[str, object]:
    """The event as a journal line: its fields and its kind."""
    return {"event": _NAMES[type(event)], **as_json(event)}


def from_line(line: Mapping[str, object]) -> Event:
    """The event of a journal line; ValueError when it is none."""
    kind = EVENTS.get(str(line.get("event")))
    if kind is None:
        raise ValueError(f"unknown event {line.get('event')!r}")
    values: dict[str, object] = {}
    for name in _FIELDS[kind]:
        value = line.get(_JSON_NAMES.get(name, name))
        if not isinstance(value, _TYPES[name]):
            raise ValueError(f"{name} is missing or of a wrong type")
        values[name] = _revive(name, value)
    return kind(**values)  # type: ignore[arg-type]  # checked against _TYPES just above


def _revive(name: str, value: object) -> object:
    if name == "at":
        return datetime.fromisoformat(str(value))
    if name == "subject":
        return Subject(str(value))
    return value


@dataclass(frozen=True, slots=True)
class Call:
    """One POST to user.create; `status` is None while it runs and when it never got a complete answer.

    `fault` is the kind of the fault that struck, `done` whether the server has finished with the call.
    """

    number: int
    at: datetime
    status: int | None = None
    employee_id: str | None = None
    fault: str | None = None
    done: bool = False


@dataclass(frozen=True, slots=True)
class Summary:
    """The simulator's numbers since its start, or since the journal's, or since the last reset.

    `people` counts addresses that have an account. `requests_by_status` has the key "none" for calls that got
    no complete answer (yet).
    """

    calls: int
    in_flight: int
    max_in_flight: int
    requests_by_status: dict[str, int]
    mails: int
    mails_by_subject: dict[str, int]
    people: int
    people_mailed: int
    people_mailed_more_than_once: int
    faults_by_kind: dict[str, int]
    tokens_leaked: int
