"""Which rows pass, and what the HR desk reads about those that do not."""

from __future__ import annotations

import gc
from datetime import datetime, timedelta
from typing import Any

import great_expectations.expectations as gxe
import pandas as pd
import pytest
from great_expectations import ExpectationSuite
from o2o_registration.quality import QualityCheckError, QualityRules
from o2o_registration.quality.check import check
from o2o_registration.quality.suite import EMPLOYEE_ID_MAX, NAME_MAX, PERSONNEL_NUMBER_MAX, build_suite
from quality_candidates import GOOD, SINCE, UNTIL, checked, codes, codes_each, frame, rules, words_each


def test_a_complete_row_passes() -> None:
    """A row with nothing wrong has no reason and the batch no finding."""
    result = checked({})
    assert (result.rows, result.bad_rows, result.findings) == (1, 0, ())
    assert result.document["success"]


def test_no_rows_are_a_clean_batch() -> None:
    """An empty frame is checked without complaint."""
    result = checked()
    assert (result.rows, result.bad_rows, result.findings) == (0, 0, ())


def test_an_empty_row_is_missing_its_mandatory_fields_and_nothing_else() -> None:
    """What is missing is called missing, and not invalid as well."""
    assert codes(**dict.fromkeys(GOOD)) == [
        "employee_id_missing",
        "first_name_missing",
        "last_name_missing",
        "email_missing",
        "language_missing",
        "company_missing",
        "changed_at_missing",
    ]


def test_text_that_shows_nothing_counts_as_missing() -> None:
    """Spaces, zero-width and control characters alone are as good as no value."""
    blanks = ["", "   ", "\t\n", "\u200b", "\u00a0\u200b ", "\u3164", "\u202e\u200f", "\x00\x07"]
    for field in ("employee_id", "first_name", "last_name", "email"):
        assert codes_each(*({field: blank} for blank in blanks)) == [[f"{field}_missing"]] * len(blanks)


def test_an_optional_field_may_be_empty() -> None:
    """o2o needs neither a personnel number nor a contract type."""
    empty = [{field: nothing} for field in ("personnel_number", "contract_type") for nothing in (None, "  ")]
    assert codes_each(*empty) == [[]] * 4


@pytest.mark.parametrize(
    ("field", "longest"),
    [
        ("employee_id", EMPLOYEE_ID_MAX),
        ("personnel_number", PERSONNEL_NUMBER_MAX),
        ("first_name", NAME_MAX),
        ("last_name", NAME_MAX),
    ],
)
def test_a_value_may_be_as_long_as_its_limit_and_no_longer(field: str, longest: int) -> None:
    """The limit itself passes; spaces around the value do not count."""
    rows = [{field: f" {'x' * longest} "}, {field: "x" * (longest + 1)}]
    assert codes_each(*rows) == [[], [f"{field}_too_long"]]


@pytest.mark.parametrize("field", ["employee_id", "personnel_number", "first_name", "last_name"])
def test_control_and_invisible_characters_are_refused(field: str) -> None:
    """What nobody can see would end up on letters and invoices."""
    characters = ["\n", "\x00", "\x1b", "\u202e", "\u2066", "\u200b", "\u2028", "\ufffd", "\ud800"]
    rows = [{field: f"Ja{character}ne"} for character in characters]
    assert codes_each(*rows) == [[f"{field}_unprintable"]] * len(rows)


def test_an_invisible_character_is_named_by_its_number() -> None:
    """The HR desk has to find what it cannot see."""
    assert words_each({"last_name": "Johans\u200bson"}) == [
        "The last name holds a control or invisible character (U+200B ZERO WIDTH SPACE)."
    ]


def test_names_of_all_scripts_pass() -> None:
    """Accents, apostrophes, hyphens, joiners and other scripts are part of people's names."""
    names = [
        *("Zoë", "Zoe\u0308", "D'Hondt", "van der Berg-Öz", "Ng", "O\u2019Neil Jr.", "Łukasz"),
        *("李", "عائشة", "کتاب\u200cدار", "Ὀδυσσεύς", "Ольга"),  # noqa: RUF001
    ]
    assert codes_each(*({"first_name": name, "last_name": name} for name in names)) == [[]] * len(names)


def test_a_name_without_any_letter_is_refused() -> None:
    """Placeholders are not names."""
    names = ["-", ".", "?!", "123", "🚲", "{{ 7*7 }}"]
    rows = ({"first_name": name} for name in names)
    assert codes_each(*rows) == [["first_name_without_letter"]] * len(names)


def test_text_that_looks_like_code_is_only_text() -> None:
    """Somebody may be called Null; nothing is evaluated, and nothing is taken for a missing value."""
    texts = ["nan", "None", "NULL", "null", "True", "'; drop table o2o.registration; --", "{{ x }}", "${x}"]
    rows = [{"first_name": text, "last_name": text, "employee_id": text} for text in texts]
    assert codes_each(*rows) == [[]] * len(rows)


def test_valid_addresses_pass() -> None:
    """Trimmed, with tags, international, decomposed."""
    addresses = [
        " jane@example.com ",
        "jane+bike@sub.example.co.uk",
        "jane@büro.example.com",
        "zoë@example.com",
        "zoe\u0308@example.com",
        "JANE@EXAMPLE.COM",
    ]
    assert codes_each(*({"email": address} for address in addresses)) == [[]] * len(addresses)


def test_an_invalid_address_is_explained_without_quoting_it() -> None:
    """The mistake is named; the address stays in the row."""
    mistakes = {
        "jane.example.com": "it has no @",
        "jane@@example.com": "it has more than one @",
        "jane@x@example.com": "it has more than one @",
        "@example.com": "there is nothing before the @",
        "jane@": "there is nothing after the @",
        "jane@example": "the part after the @ has no dot",
        "jane johansson@example.com": "there is a space in it",
        "jane..j@example.com": "a dot is where none can be",
        "jane.@example.com": "a dot is where none can be",
        "Jane <jane@example.com>": "it holds more than the bare address, such as a name or brackets",
        "jane@example.com;joe@example.com": "it looks like several addresses",
        "jane@intranet.local": "no mail can be delivered to that domain",
        "jane@-example.com": "it holds a character or a domain name that no address can have",
    }
    assert words_each(*({"email": address} for address in mistakes)) == [
        f"The e-mail address is not valid: {mistake}." for mistake in mistakes.values()
    ]


def test_an_overlong_address_is_only_too_long() -> None:
    """A megabyte in the e-mail column is not parsed."""
    assert codes(email="j" * 1_000_000 + "@example.com") == ["email_too_long"]


def test_an_address_shared_in_the_batch_fails_each_of_its_people() -> None:
    """o2o knows people by their address: two people cannot share one, and only HR knows whose it is."""
    result = checked({"people_with_email": 2}, {}, {"people_with_email": 2})
    assert {row: [reason.code for reason in reasons] for row, reasons in result.failures.items()} == {
        0: ["email_shared"],
        2: ["email_shared"],
    }


def test_an_address_of_somebody_registered_before_is_refused() -> None:
    """The ledger already holds the address for another employee."""
    assert codes(email_registered_to="XYZ9") == ["email_taken"]


def test_a_missing_address_is_shared_with_nobody() -> None:
    """Counts over rows without an address say nothing."""
    assert codes(email=None, people_with_email=17, email_registered_to="XYZ9") == ["email_missing"]


def test_contradicting_rows_of_one_employee_are_refused() -> None:
    """Which of the two contents is true, only HR can say."""
    assert codes(rows_with_employee_id=2) == ["employee_id_conflict"]
    assert codes(employee_id=None, rows_with_employee_id=2) == ["employee_id_missing"]


def test_codes_are_compared_trimmed_and_without_case() -> None:
    """As the payload's step looks them up."""
    rows = ({"language": " nl "}, {"company": "Globex"}, {"contract_type": "BLUE_COLLAR\u200b"})
    assert codes_each(*rows) == [[], [], []]


def test_an_unknown_code_is_named() -> None:
    """A code is not personal, and naming it saves a look into the HR system."""
    rows = ({"language": " De "}, {"company": "Initech"}, {"contract_type": "director"})
    assert words_each(*rows) == [
        'The language "De" is not known; the mapping has no o2o language for it.',
        'The company "Initech" has no bike plan in the mapping.',
        'The contract type "director" is not known; the mapping has no o2o contract type for it.',
    ]


def test_an_unknown_code_that_may_be_something_else_is_not_named() -> None:
    """Columns get mixed up: what does not look like a code is not repeated."""
    rows = [{"company": text} for text in ("x" * 41, "jane@example.com", "D\u202eE", "a\nb")]
    assert words_each(*rows) == ["The company has no bike plan in the mapping."] * len(rows)


def test_a_date_in_the_future_is_refused_beyond_the_clocks_difference() -> None:
    """HR's clock may be a little ahead; a date of tomorrow is a typing error."""
    dates = [UNTIL + timedelta(minutes=5), UNTIL + timedelta(minutes=6)]
    assert codes_each(*({"changed_at": date} for date in dates)) == [[], ["changed_at_in_future"]]


def test_all_reasons_of_a_row_come_in_the_order_of_the_suite() -> None:
    """The HR desk mends everything at once."""
    assert codes(company="?", email="x", first_name=None, employee_id="a\nb") == [
        "employee_id_unprintable",
        "first_name_missing",
        "email_invalid",
        "company_unknown",
    ]


def test_verdicts_find_their_rows_by_number_in_any_order() -> None:
    """Row numbers need neither start at zero nor be sorted."""
    shuffled = frame({}, {"email": "x"}, {}, {"language": "?"}, first_row_no=70).sample(frac=1, random_state=3)
    assert sorted(check(shuffled, rules()).failures) == [71, 73]


def test_text_columns_may_have_pandas_own_string_type() -> None:
    """Frames come as pandas infers them, with NaN for missing text."""
    candidates = frame({}, {"email": None, "personnel_number": None})
    for column in ("email", "personnel_number", "language"):
        candidates[column] = candidates[column].astype("str")
    assert [reason.code for reason in check(candidates, rules()).failures[1]] == ["email_missing"]


def test_a_stale_batch_is_a_finding_and_fails_no_row() -> None:
    """When even the newest row is a day older than the window, the warehouse is late."""
    late = {"changed_at": SINCE - timedelta(hours=25)}
    result = checked(late, late)
    assert result.bad_rows == 0
    assert [finding.code for finding in result.findings] == ["batch_stale"]
    assert "1,500 minutes" in result.findings[0].words
    assert checked(late, {}).findings == ()


def test_a_date_in_the_future_does_not_make_a_stale_batch_fresh() -> None:
    """One typing error must not hide that the warehouse is late."""
    rows = ({"changed_at": SINCE - timedelta(days=3)}, {"changed_at": UNTIL + timedelta(days=300)})
    assert [finding.code for finding in checked(*rows).findings] == ["batch_stale"]


def test_the_first_run_measures_freshness_from_the_end_of_its_window() -> None:
    """Without a beginning the window's end is what there is."""
    old = {"changed_at": UNTIL - timedelta(days=3)}
    assert [finding.code for finding in checked(old, window_since=None).findings] == ["batch_stale"]


def test_a_large_batch_is_a_finding_and_fails_no_row() -> None:
    """More rows than expected are worth a look, not a stop."""
    result = checked({}, {}, {}, expected_volume_max=2)
    assert result.bad_rows == 0
    assert [finding.words for finding in result.findings] == ["The batch has 3 rows, more than the expected 2."]
    assert checked({}, {}, expected_volume_max=2).findings == ()


def test_the_same_checks_run_again_and_again_in_one_process() -> None:
    """Nothing registered or cached by one check disturbs the next."""
    assert [checked({"email": "x"}).failures for _ in range(3)] == [checked({"email": "x"}).failures] * 3


def test_a_frame_of_another_shape_is_refused_by_name() -> None:
    """The error says which column is missing."""
    with pytest.raises(ValueError, match="no column email"):
        check(frame({}).drop(columns="email"), rules())


@pytest.mark.parametrize("numbers", [[1, 1], [1.5, 2.5], ["a", "b"]])
def test_row_numbers_must_be_unique_integers(numbers: list[Any]) -> None:
    """Otherwise a verdict could not find its row."""
    candidates = frame({}, {}).drop(columns="row_no").assign(row_no=numbers)
    with pytest.raises(ValueError, match="row_no must be"):
        check(candidates, rules())


def test_a_window_without_time_zone_is_refused() -> None:
    """Dates without a zone would silently be read as UTC."""
    with pytest.raises(ValueError, match="window_until has no time zone"):
        QualityRules(
            languages=frozenset(),
            contract_types=frozenset(),
            companies=frozenset(),
            window_since=None,
            window_until=datetime(2026, 1, 1),
        )


def test_every_check_of_the_suite_says_what_a_reader_needs() -> None:
    """A code of its own, words and a description; a warning if and only if it concerns the whole batch."""
    checks = build_suite(rules(expected_volume_max=1)).expectations
    assert len({entry.meta["code"] for entry in checks}) == len(checks)
    for entry in checks:
        assert entry.meta["words"].endswith(".")
        assert entry.description
        assert (entry.severity == "warning") == entry.meta["code"].startswith("batch_")


def test_a_check_that_names_no_rows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An expectation about a column's average would pass every row: the author is told so."""
    mean = gxe.ExpectColumnMeanToBeBetween(
        column="people_with_email", max_value=1, meta={"code": "mean", "words": "Mean."}
    )
    monkeypatch.setattr(
        "o2o_registration.quality.check.build_suite",
        lambda _: ExpectationSuite(name="x", expectations=[mean]),
    )
    with pytest.raises(QualityCheckError, match=r"\(mean\) does not name the rows"):
        check(frame({}), rules())


def test_no_one_stays_in_memory_after_a_check() -> None:
    """Great Expectations keeps its context; the people in it are let go."""
    # by type: isinstance would ask Airflow's lazy modules, which import what they stand for
    before = sum(issubclass(type(each), pd.DataFrame) for each in gc.get_objects())
    checked({}, {"email": "x"})
    gc.collect()
    assert sum(issubclass(type(each), pd.DataFrame) for each in gc.get_objects()) <= before
