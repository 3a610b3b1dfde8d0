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
    """They go to the audit; to the logs goes what we say ourselves, for o2o may speak of somebody else."""
    body = b'{"message": "Jane Johansson <jane@example.com> has the number of Piet Peeters"}'
    answer = read_answer(422, body, personal=("jane@example.com", "Jane", "Johansson"))
    assert answer.whole == "HTTP 422: [personal] [personal] <[e-mail]> has the number of Piet Peeters"
    assert answer.detail == "HTTP 422"
    assert "Piet" not in repr(answer)


@pytest.mark.parametrize(
    ("status", "body", "detail"),
    [
        (201, b"<html>Piet</html>", "HTTP 201: the answer is no JSON"),
        (200, b'{"success": false, "result": "Piet"}', "HTTP 200: the answer does not say that the person is"),
        (500, b'{"error": "Piet"}', "HTTP 500"),
    ],
)
def test_what_we_say_of_an_answer_without_o2os_words_is_what_we_make_of_it(
    status: int, body: bytes, detail: str
) -> None:
    answer = read_answer(status, body)
    assert answer.detail.startswith(detail)
    assert "Piet" not in answer.detail


@pytest.mark.parametrize(
    ("text", "personal", "redacted"),
    [
        ("STRAUSS is taken", "Strau\u00df", "[personal] is taken"),
        ("Strau\u00df is taken", "STRAUSS", "[personal] is taken"),
        ("stra\u1e9ee 1, STRASSE 2", "Stra\u00dfe", "[personal] 1, [personal] 2"),
        ("I\u0307\u0131 and \u0130I", "\u0130i", "I\u0307\u0131 and [personal]"),
        ("Anna Ann", "Ann", "[personal]a [personal]"),
        ("Jan Janssens", "Janssens", "Jan [personal]"),
    ],
)
def test_a_name_is_found_however_its_letters_are_cased(text: str, personal: str, redacted: str) -> None:
    assert redact(text, personal) == redacted


def test_several_values_are_redacted_in_one_go() -> None:
    """None of them is looked for in what stands in another's place."""
    assert redact("Jan Janssens, son of A. Jansse", "Jan", "Janssens", "a", "e") == (
        "[personal] [personal], son of [personal]. [personal]ss[personal]"
    )


@given(st.text(I_LIKE, max_size=12), st.text(I_LIKE, min_size=1, max_size=3))
def test_redacting_misses_nothing_that_a_pattern_would_find(text: str, name: str) -> None:
    if re.search(re.escape(name), text, re.IGNORECASE):
        assert "[personal]" in redact(text, name)


@given(st.text(I_LIKE, max_size=12), st.text(I_LIKE, min_size=1, max_size=3))
def test_nothing_of_a_value_is_left_in_any_case(text: str, name: str) -> None:
    """Whatever Unicode folds to the same letters."""
    left = redact(text, name).replace("[personal]", "\n")
    assert name.casefold() not in left.casefold()


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
