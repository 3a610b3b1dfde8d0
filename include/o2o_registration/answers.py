"""The one reading of o2o's answers: status and body -> what it proves -> what we do.

Change READINGS when o2o says more than `user.login`'s documentation does.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

MAX_RETRY_AFTER = 24 * 3600.0
"""Seconds. A longer Retry-After is more likely a mistake than a plan; nobody should wait a year for it."""
MAX_WORDS = 300
NO_JSON = "the answer is no JSON"
NO_REGISTRATION = "the answer does not say that the person is registered"


class Outcome(StrEnum):
    """What became of one call."""

    CREATED = "created"
    EXISTING = "existing"
    REJECTED = "rejected"
    IN_DOUBT = "in_doubt"
    NOT_SENT = "not_sent"
    """The call provably never reached o2o."""
    BUSY = "busy"
    """o2o refused to process it now."""
    WRONG_TOKEN = "wrong_token"  # noqa: S105 - an outcome's name
    WRONG_ADDRESS = "wrong_address"
    WRONG_CERTIFICATE = "wrong_certificate"
    """Who answers does not prove to be o2o, and was told nothing."""


_E_MAIL = re.compile(r"[^\s@\"'<>(){}\[\],;:]+@[^\s@\"'<>(){}\[\],;]+")
_ONE_I = str.maketrans("\u0130\u0131", "ii")

STOPS_RUN = frozenset({Outcome.WRONG_TOKEN, Outcome.WRONG_ADDRESS, Outcome.WRONG_CERTIFICATE})
REPEATABLE = frozenset({Outcome.NOT_SENT, Outcome.BUSY, *STOPS_RUN})
"""Provably without effect, so that the same person may be called again."""

# outcome -> the registration's status
STATUS = {
    Outcome.CREATED: "created",
    Outcome.EXISTING: "existing",
    Outcome.REJECTED: "rejected",
    Outcome.IN_DOUBT: "in_doubt",
    **dict.fromkeys(REPEATABLE, "pending"),
}


@dataclass(frozen=True)
class Reading:
    """Statuses from `low` to `high`, whose body says `success` (None: whatever it says), mean `outcome`."""

    low: int
    high: int
    success: bool | None
    outcome: Outcome


# the first that fits counts
READINGS = (
    Reading(201, 201, True, Outcome.CREATED),
    Reading(200, 200, True, Outcome.EXISTING),
    Reading(300, 399, None, Outcome.WRONG_ADDRESS),
    Reading(401, 401, None, Outcome.WRONG_TOKEN),
    Reading(403, 403, None, Outcome.WRONG_TOKEN),
    Reading(404, 405, None, Outcome.WRONG_ADDRESS),
    Reading(429, 429, None, Outcome.BUSY),
    Reading(503, 503, None, Outcome.BUSY),
    Reading(400, 499, None, Outcome.REJECTED),
)


@dataclass(frozen=True)
class Answer:
    """What came back of one call: either a status with its (bounded) body, or none of both and the reason.

    `detail` is what we say of it ourselves, and may be logged. `words` are o2o's, without the person's own data: they
    may quote other people, so that they go to the ledger and nowhere else.
    """

    outcome: Outcome
    detail: str
    http_status: int | None = None
    body: str | None = field(default=None, repr=False)
    retry_after: float | None = None
    milliseconds: int = 0
    words: str = field(default="", repr=False)

    @property
    def whole(self) -> str:
        """Both."""
        return f"{self.detail}: {self.words}" if self.words else self.detail


def read_answer(
    status: int,
    body: bytes,
    retry_after: str | None = None,
    personal: tuple[str, ...] = (),
    now: datetime | None = None,
) -> Answer:
    """Read an answer that arrived whole. What no line of READINGS knows is in doubt.

    `personal` are the values that o2o's words must not repeat.
    """
    document = _json(body)
    success = document.get("success") if isinstance(document, dict) else None
    outcome = next(
        (
            reading.outcome
            for reading in READINGS
            if reading.low <= status <= reading.high
            # 1 equals True, and is not what o2o documents
            and (reading.success is None or reading.success is success)
        ),
        Outcome.IN_DOUBT,
    )
    unclear = outcome is Outcome.IN_DOUBT and 200 <= status < 300
    return Answer(
        outcome=outcome,
        detail=f"HTTP {status}" + (f": {NO_JSON if document is None else NO_REGISTRATION}" if unclear else ""),
        http_status=status,
        body=body.decode("utf-8", "replace").replace("\x00", "\ufffd"),
        retry_after=seconds_to_wait(retry_after, now) if outcome is Outcome.BUSY else None,
        words="" if unclear else redact(_words(document), *personal)[:MAX_WORDS],
    )


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _words(document: Any) -> str:
    """o2o's own sentence, wherever its undocumented error bodies keep it."""
    if not isinstance(document, dict):
        return ""
    for key in ("result", "error", "message", "errors", "detail"):
        value = document.get(key)
        if value:
            return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return ""


def redact(text: str, *personal: str, whole_words: bool = False) -> str:
    """The text without e-mail addresses, the given personal values and control characters.

    `whole_words` leaves 'also' as it is for an Al: right for what a person wrote, too little for a machine's words.
    """
    text = _E_MAIL.sub("[e-mail]", text)
    folded = fold(text)
    # a pattern per person costs more than the call: look before compiling one
    if found := {value for value in map(fold, filter(None, personal)) if value in folded}:
        text = _without(text, found, whole_words)
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    return text.strip()


def _without(text: str, values: set[str], whole_words: bool) -> str:
    """The text without the given folded values, the longer ones first."""
    pieces = [fold(character) for character in text]
    # one character may fold to several, as a sharp s does: where each of them comes from
    origin = [place for place, piece in enumerate(pieces) for _ in piece]
    pattern = "|".join(re.escape(value) for value in sorted(values, key=len, reverse=True))
    if whole_words:
        pattern = rf"(?<!\w)(?:{pattern})(?!\w)"
    kept, done = [], 0
    for match in re.finditer(pattern, "".join(pieces)):
        first, last = origin[match.start()], origin[match.end() - 1]
        if last >= done:
            kept += [text[done:first], "[personal]"]
            done = last + 1
    return "".join([*kept, text[done:]])


def fold(text: str) -> str:
    """Equal for whatever differs in case alone, the Turkish i included."""
    return text.translate(_ONE_I).casefold()


def seconds_to_wait(retry_after: str | None, now: datetime | None = None) -> float | None:
    """Retry-After in seconds, given as seconds or as a date; None when absent or absurd, never above a day."""
    if not retry_after:
        return None
    text = retry_after.strip()
    if re.fullmatch(r"\d{1,12}", text, re.ASCII):
        return min(float(text), MAX_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return min(max(0.0, (at - (now or datetime.now(UTC))).total_seconds()), MAX_RETRY_AFTER)
