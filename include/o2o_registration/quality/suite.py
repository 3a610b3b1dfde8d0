"""The checks, top to bottom as the HR desk reads them. To add one, add an entry with its code and its words.

The expectation is Great Expectations' own or one of `expectations.py`; `description` is what Data Docs says;
`meta` carries the reason: a code that never changes and a sentence that names the field and quotes no value.
`{detail}` in the sentence is filled per row by the function of that name in `reasons.DETAILS`. Missing values
pass every check but "not null", so that a missing value is only ever called missing.
"""

from __future__ import annotations

from datetime import timedelta

import great_expectations.expectations as gxe
from great_expectations import ExpectationSuite
from great_expectations.expectations.expectation import Expectation

from o2o_registration.quality import expectations as own
from o2o_registration.quality.model import QualityRules
from o2o_registration.quality.values import EMAIL_MAX
from o2o_registration.text import comparable

NAME = "o2o_candidates"

# o2o documents no limit. No HR system seen uses longer ids; longer ones are a column mix-up.
EMPLOYEE_ID_MAX = 64
# o2o prints it on invoice lines, where more would not fit either.
PERSONNEL_NUMBER_MAX = 64
# The longest names on record in European civil registers stay below this.
NAME_MAX = 150

WARNING = "warning"


def build_suite(rules: QualityRules) -> ExpectationSuite:
    """The suite for one run."""
    checks = [
        *_employee_id(),
        *_personnel_number(),
        *_names("first_name", "first name"),
        *_names("last_name", "last name"),
        *_email(),
        *_codes(rules),
        *_dates(rules),
        *_batch(rules),
    ]
    return ExpectationSuite(name=NAME, expectations=checks)


def _reason(code: str, words: str, detail: str | None = None) -> dict[str, str]:
    return {"code": code, "words": words} | ({"detail": detail} if detail else {})


def _employee_id() -> list[Expectation]:
    return [
        gxe.ExpectColumnValuesToNotBeNull(
            column="employee_id",
            description="The employee id is present.",
            meta=_reason("employee_id_missing", "The employee id is missing."),
        ),
        gxe.ExpectColumnValueLengthsToBeBetween(
            column="employee_id",
            max_value=EMPLOYEE_ID_MAX,
            description=f"The employee id has at most {EMPLOYEE_ID_MAX} characters.",
            meta=_reason("employee_id_too_long", f"The employee id is longer than {EMPLOYEE_ID_MAX} characters."),
        ),
        own.ExpectColumnValuesToBePrintable(
            column="employee_id",
            description="The employee id holds no control or invisible characters.",
            meta=_reason(
                "employee_id_unprintable",
                "The employee id holds a control or invisible character{detail}.",
                "unprintable",
            ),
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="rows_with_employee_id",
            max_value=1,
            description="Rows of the batch with the same employee id say the same.",
            meta=_reason(
                "employee_id_conflict",
                "The batch holds several rows with this employee id that contradict each other.",
            ),
        ),
    ]


def _personnel_number() -> list[Expectation]:
    return [
        gxe.ExpectColumnValueLengthsToBeBetween(
            column="personnel_number",
            max_value=PERSONNEL_NUMBER_MAX,
            description=f"A personnel number has at most {PERSONNEL_NUMBER_MAX} characters.",
            meta=_reason(
                "personnel_number_too_long",
                f"The personnel number is longer than {PERSONNEL_NUMBER_MAX} characters.",
            ),
        ),
        own.ExpectColumnValuesToBePrintable(
            column="personnel_number",
            description="A personnel number holds no control or invisible characters.",
            meta=_reason(
                "personnel_number_unprintable",
                "The personnel number holds a control or invisible character{detail}.",
                "unprintable",
            ),
        ),
    ]


def _names(column: str, name: str) -> list[Expectation]:
    return [
        gxe.ExpectColumnValuesToNotBeNull(
            column=column,
            description=f"The {name} is present.",
            meta=_reason(f"{column}_missing", f"The {name} is missing."),
        ),
        gxe.ExpectColumnValueLengthsToBeBetween(
            column=column,
            max_value=NAME_MAX,
            description=f"The {name} has at most {NAME_MAX} characters.",
            meta=_reason(f"{column}_too_long", f"The {name} is longer than {NAME_MAX} characters."),
        ),
        own.ExpectColumnValuesToBePrintable(
            column=column,
            description=f"The {name} holds no control or invisible characters.",
            meta=_reason(
                f"{column}_unprintable",
                f"The {name} holds a control or invisible character{{detail}}.",
                "unprintable",
            ),
        ),
        own.ExpectColumnValuesToHaveALetter(
            column=column,
            description=f"The {name} has at least one letter.",
            meta=_reason(f"{column}_without_letter", f"The {name} has no letter in it."),
        ),
    ]


def _email() -> list[Expectation]:
    return [
        gxe.ExpectColumnValuesToNotBeNull(
            column="email",
            description="The e-mail address is present.",
            meta=_reason("email_missing", "The e-mail address is missing."),
        ),
        gxe.ExpectColumnValueLengthsToBeBetween(
            column="email",
            max_value=EMAIL_MAX,
            description=f"The e-mail address has at most {EMAIL_MAX} characters.",
            meta=_reason("email_too_long", f"The e-mail address is longer than {EMAIL_MAX} characters."),
        ),
        own.ExpectColumnValuesToBeEmailAddresses(
            column="email",
            description="The e-mail address is one that mail could be sent to.",
            meta=_reason("email_invalid", "The e-mail address is not valid: {detail}.", "email_mistake"),
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="people_with_email",
            max_value=1,
            description="No two employees of the batch share an e-mail address.",
            meta=_reason(
                "email_shared",
                "Another employee in this batch has the same e-mail address; o2o needs one per person.",
            ),
        ),
        gxe.ExpectColumnValuesToBeNull(
            column="email_registered_to",
            description="The e-mail address does not belong to another employee who was registered before.",
            meta=_reason(
                "email_taken",
                "Another employee was registered before with this e-mail address; o2o needs one per person.",
            ),
        ),
    ]


def _codes(rules: QualityRules) -> list[Expectation]:
    def known(column: str, keys: frozenset[str], description: str, words: str) -> Expectation:
        return gxe.ExpectColumnValuesToBeInSet(
            column=column,
            value_set=sorted({comparable(key) for key in keys}),
            description=description,
            meta=_reason(f"{column}_unknown", words, "code"),
        )

    return [
        gxe.ExpectColumnValuesToNotBeNull(
            column="language",
            description="The language is present.",
            meta=_reason("language_missing", "The language is missing."),
        ),
        known(
            "language",
            rules.languages,
            "The language is one that the mapping knows.",
            "The language{detail} is not known; the mapping has no o2o language for it.",
        ),
        known(
            "contract_type",
            rules.contract_types,
            "The contract type, where there is one, is one that the mapping knows.",
            "The contract type{detail} is not known; the mapping has no o2o contract type for it.",
        ),
        gxe.ExpectColumnValuesToNotBeNull(
            column="company",
            description="The company is present.",
            meta=_reason("company_missing", "The company is missing."),
        ),
        known(
            "company",
            rules.companies,
            "The company has a bike plan.",
            "The company{detail} has no bike plan in the mapping.",
        ),
    ]


def _dates(rules: QualityRules) -> list[Expectation]:
    return [
        gxe.ExpectColumnValuesToNotBeNull(
            column="changed_at",
            description="The date of change is present.",
            meta=_reason("changed_at_missing", "The date of the last change is missing or cannot be read."),
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="changed_at",
            max_value=rules.window_until + rules.clock_skew,
            description="The date of change is not in the future.",
            meta=_reason("changed_at_in_future", "The date of the last change is in the future."),
        ),
    ]


def _batch(rules: QualityRules) -> list[Expectation]:
    """Warnings about the batch as a whole. Judged anew when chunks are merged, see `merge.FOLDS`."""
    freshness = gxe.ExpectColumnMinToBeBetween(
        column="lag_minutes",
        max_value=rules.max_lag // timedelta(minutes=1),
        severity=WARNING,
        description="The newest row did not change long before the run's window began.",
        meta=_reason(
            "batch_stale",
            "Even the newest row changed {observed} minutes before the run's window, more than the expected"
            " {limit}: HR rows reach the warehouse late, and later ones may be missed.",
        ),
    )
    volume = gxe.ExpectTableRowCountToBeBetween(
        max_value=rules.expected_volume_max,
        severity=WARNING,
        description="The batch is not larger than usual.",
        meta=_reason("batch_large", "The batch has {observed} rows, more than the expected {limit}."),
    )
    return [freshness] if rules.expected_volume_max is None else [freshness, volume]
