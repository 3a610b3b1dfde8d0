"""How o2o reads a user.create body and what it makes of it: pure rules, no mailbox, no network."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from o2o_simulator.records import Subject

DEMO_BIKE_PLANS = ("ACME-2026", "GLOBEX-2026", "INITECH-2026")
LANGUAGES = ("NL", "FR", "EN")
CONTRACT_TYPES = ("", "clerk", "worker")

# Written from RFC 5321/5322 rather than borrowed from the pipeline, so that each of the two checks the other.
_ATOM = r"[\w!#$%&'*+/=?^`{|}~-]+"
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_EMAIL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+(?!\d+\Z){_LABEL}")

Check = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What o2o says: a status and a JSON body, and the e-mail that goes with it, if any."""

    status: int
    body: dict[str, object]
    subject: Subject | None = None
    headers: dict[str, str] = field(default_factory=dict)


CREATED = Answer(201, {"result": "User was created.", "success": True}, Subject.WELCOME)
UPDATED = Answer(200, {"result": "User was updated.", "success": True}, Subject.EXISTING)
UNAUTHORIZED = Answer(401, {"result": "Unauthorized.", "success": False}, headers={"WWW-Authenticate": "Bearer"})


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that o2o refuses; `field` is the API's name, or "body" when the body as a whole is wrong."""

    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A body as understood.

    `email` only if mail could be sent to it; `problems` is empty if the person is acceptable.
    """

    email: str | None
    employee_id: str | None
    problems: tuple[Problem, ...]

    def refusal(self) -> Answer:
        """The answer to a body with problems: 400 when it was not understood, else 422; names every field."""
        malformed = any(problem.field == "body" for problem in self.problems)
        return Answer(
            400 if malformed else 422,
            {
                "result": "Registration failed.",
                "success": False,
                "errors": [{"field": problem.field, "reason": problem.reason} for problem in self.problems],
            },
            Subject.FAILED if self.email is not None else None,
        )


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the API's `user` object; all are strings."""

    mandatory: bool
    check: Check


def _anything(_: str) -> str | None:
    return None


def _not_blank(value: str) -> str | None:
    return None if value.strip() else "must not be blank"


def _one_of(allowed: Collection[str]) -> Check:
    listed = ", ".join(value or '""' for value in allowed)
    return lambda value: None if value in allowed else f"must be one of {listed}"


def _email(value: str) -> str | None:
    local, _, _ = value.rpartition("@")
    good = len(value) <= 254 and len(local) <= 64 and _EMAIL.fullmatch(value)
    return None if good else "is no e-mail address"


def fields_of(bike_plans: Collection[str]) -> dict[str, Field]:
    """The API's fields; a strange bike plan code is refused without a list of the known ones."""
    return {
        "BikePlanCode": Field(True, lambda code: None if code in bike_plans else "is not a known bike plan code"),
        "FirstName": Field(True, _not_blank),
        "LastName": Field(True, _not_blank),
        "Email": Field(True, _email),
        "Language": Field(True, _one_of(LANGUAGES)),
        "ContractType": Field(False, _one_of(CONTRACT_TYPES)),
        "partner_EmployeeID": Field(False, _anything),
        "PersonnelNumber": Field(False, _anything),
    }


def read_body(body: bytes, fields: dict[str, Field]) -> Reading:
    """Understand a request body, strictly; never raises."""
    try:
        document = json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        duplicate = isinstance(error, _DuplicateKeyError)
        reason = str(error) if duplicate else "is not JSON in UTF-8"
        return Reading(None, None, (Problem("body", reason),))
    if not isinstance(document, dict) or not isinstance(document.get("user"), dict):
        return Reading(None, None, (Problem("user", "is missing or no object; the body is {user: {...}}"),))
    user = document["user"]
    unknown = [Problem(_printable(name), "is not part of the API") for name in document if name != "user"]
    return Reading(
        email=_usable(user.get("Email"), _email),
        employee_id=_usable(user.get("partner_EmployeeID"), _anything),
        problems=(*unknown, *_problems(user, fields)),
    )


def _problems(user: dict[str, object], fields: dict[str, Field]) -> list[Problem]:
    problems = [Problem(_printable(name), "is not part of the API") for name in user if name not in fields]
    for name, spec in fields.items():
        if name not in user:
            reason = "is missing" if spec.mandatory else None
        else:
            reason = _text_problem(user[name]) or spec.check(str(user[name]))
        if reason is not None:
            problems.append(Problem(name, reason))
    return problems


def _text_problem(value: object) -> str | None:
    if not isinstance(value, str):
        return "must be a string"
    return None if value == _printable(value) else "is not valid Unicode"


def _usable(value: object, check: Check) -> str | None:
    return value if isinstance(value, str) and _text_problem(value) is None and check(value) is None else None


def _printable(text: str) -> str:
    """The text without lone surrogates, which JSON can carry but UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")


class _DuplicateKeyError(ValueError):
    pass


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise _DuplicateKeyError("has a field twice")
    return document


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")
