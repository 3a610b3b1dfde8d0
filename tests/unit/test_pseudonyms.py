"""Keyed pseudonyms: equal for equal values, of one domain alone, and the key never shows."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from o2o_registration.errors import ConfigurationError
from o2o_registration.privacy.pseudonyms import PREFIX, made

KEY = "0123456789abcdef0123456789abcdef"


def test_a_pseudonym_is_hmac_sha_256_and_stays_the_same_for_good() -> None:
    """Computed another way: a change would make everybody who was forgotten a stranger."""
    expected = hmac.new(KEY.encode(), b"person\x00E17", hashlib.sha256).hexdigest()[:32]
    assert made(KEY).person("E17") == f"{PREFIX}{expected}" == made(f" {KEY}\n").person("E17")
    assert made(KEY).person(made(KEY).person("E17")) == f"{PREFIX}{expected}"


def test_an_id_and_an_address_of_the_same_letters_have_different_pseudonyms() -> None:
    keys = made(KEY)
    assert keys.person("a@b.example") != keys.email("a@b.example")
    assert keys.email(None) is None
    assert keys.person("E17") != made(KEY + "x").person("E17")


def test_the_key_shows_in_no_representation() -> None:
    assert KEY not in repr(made(KEY))


@pytest.mark.parametrize("key", [None, "", "x" * 31, " " * 40])
def test_a_key_that_could_be_guessed_is_refused(key: str | None) -> None:
    with pytest.raises(ConfigurationError, match="key for pseudonyms"):
        made(key)
