"""Values as drivers return them, in the forms in which they are stored, sent and compared."""

from __future__ import annotations

import sys
import unicodedata
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from o2o_registration.quality.values import is_email
from o2o_registration.text import clean, storable


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        (float("nan"), None),
        (Decimal("NaN"), None),
        (Decimal("sNaN"), None),
        (4711, "4711"),
        (4711.0, "4711"),
        (Decimal("4711.00"), "4711"),
        (Decimal("-0.0"), "0"),
        (4711.5, "4711.5"),
        (Decimal(10) ** 40, "1" + "0" * 40),
        (Decimal("1E+9999"), "1E+9999"),
        (Decimal("Infinity"), "Infinity"),
        (float("inf"), "inf"),
        (True, "True"),
        (date(2026, 3, 29), "2026-03-29"),
        (b"Zo\xc3\xab", "Zoë"),
        (b"Zo\xeb", "Zo\ufffd"),
        ("a\x00b", "a\ufffdb"),
        ("Zo\udceb", "Zo?"),
    ],
    ids=repr,
)
def test_any_scalar_becomes_text_that_postgresql_holds(value: object, text: str | None) -> None:
    """Numbers without a needless point, no NUL, no half characters."""
    assert storable(value) == text


@given(st.text(st.sampled_from("a\u200b\u200d\ufeff \x85\u3000\u0301e")))
def test_cleaning_twice_changes_nothing(text: str) -> None:
    """However blanks and invisible characters are mixed around it."""
    assert clean(clean(text)) == clean(text)
    assert clean(text) == unicodedata.normalize("NFC", clean(text))


def test_every_kind_of_blank_is_taken_off() -> None:
    """Outside of ASCII, too."""
    blanks = "".join(character for character in map(chr, range(sys.maxunicode)) if character.isspace())
    assert clean(f"{blanks}é{blanks}") == "é"


@pytest.mark.parametrize(
    ("address", "good"),
    [
        ("jane@example.com", True),
        ("jane@EXAMPLE.com", True),
        ("jane@münchen.example", True),
        ("jane@MÜNCHEN.example", True),
        ("jane@xn--mnchen-3ya.example.com", True),
        ("jane@example\u3002com", False),
        ("jane@\uff45xample.com", False),
    ],
)
def test_an_address_is_good_only_as_it_will_be_sent(address: str, good: bool) -> None:
    """Not when a browser would read a dot or letters into its domain that a mail server does not."""
    assert is_email(address) is good
