"""The one reading of o2o's answers."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from o2o_registration.answers import Outcome, read_answer, redact, seconds_to_wait

NOW = datetime(2026, 1, 1, tzinfo=UTC)
I_LIKE = "aAiI\u0130\u0131sS\u017f\u00df\u1e9ekK\u212a x"
"""Letters whose lower and upper case are not what they seem."""


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (201, b'{"result": "User was created.", "success": true}', Outcome.CREATED),
        (200, b'{"result": "User was updated.", "success": true}', Outcome.EXISTING),
        (200, b'{"success": false}', Outcome.IN_DOUBT),
        (201, b'{"success": "true"}', Outcome.IN_DOUBT),
        (200, b"[]", Outcome.IN_DOUBT),
        (204, b"", Outcome.IN_DOUBT),
        (302, b"", Outcome.WRONG_ADDRESS),
        (401, b"", Outcome.WRONG_TOKEN),
        (418, b"", Outcome.REJECTED),
        (429, b"", Outcome.BUSY),
        (501, b"", Outcome.IN_DOUBT),
        (999, b"", Outcome.IN_DOUBT),
    ],
)
def test_only_what_is_documented_is_read_as_success(status: int, body: bytes, outcome: Outcome) -> None:
    """Everything else is refused, wrong, busy or in doubt."""
    assert read_answer(status, body).outcome is outcome


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120),
        ("Thu, 01 Jan 2026 00:02:00 GMT", 120),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0),
        ("99999999999", 86_400),
        ("soon", None),
        ("-5", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date_and_bounded(header: str | None, seconds: float | None) -> None:
    """Absurd values neither crash nor make anybody wait for a year."""
    assert seconds_to_wait(header, NOW) == seconds


def test_o2os_words_are_kept_without_personal_data() -> None:
    """The detail goes to the audit and the logs."""
    body = b'{"message": "Jane Johansson <jane@example.com> has no plan"}'
    detail = read_answer(422, body, personal=("jane@example.com", "Jane", "Johansson")).detail
    assert detail == "HTTP 422: [personal] [personal] <[e-mail]> has no plan"


@given(st.text(I_LIKE, max_size=12), st.text(I_LIKE, min_size=1, max_size=3))
def test_looking_before_redacting_misses_nothing_that_a_pattern_would_find(text: str, name: str) -> None:
    found = re.search(re.escape(name), text, re.IGNORECASE) is not None
    assert ("[personal]" in redact(text, name)) is found


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Al's mail, al, AL.", "[personal]'s mail, [personal], [personal]."),
        ("also Alain, normal, Al2 and al_1", "also Alain, normal, Al2 and al_1"),
        ("from al@example.com", "from [e-mail]"),
        ("Zoë-Al", "[personal]-[personal]"),
    ],
)
def test_a_short_name_blackens_whole_words_alone_where_a_person_wrote_the_text(text: str, kept: str) -> None:
    """'Al' is in half of all words."""
    assert redact(text, "Al", "ZOË", whole_words=True) == kept
