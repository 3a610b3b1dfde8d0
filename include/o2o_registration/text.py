"""Text as it comes from HR, brought into the forms in which the pipeline stores, compares and sends it."""

from __future__ import annotations

import unicodedata
from decimal import Decimal
from typing import TypeGuard

# str.strip() leaves the first ones, and HR systems paste them in from spreadsheets and web forms; mixed with blanks
_AROUND = "\u200b\u200c\u200d\u2060\ufeff\u00ad" + "".join(filter(str.isspace, map(chr, range(0x3001))))

MAX_KEY = 320
"""An e-mail address has at most 320 characters; longer text is no address and would not fit an index."""
MAX_DIGITS = 64
"""A longer number is no id, and is kept in the notation it came in."""


def storable(value: object) -> str | None:
    """Any scalar a warehouse driver returns as text that PostgreSQL can hold; None for null and NaN."""
    text = _text(value)
    if text is None:
        return None
    if text.isascii():
        return text.replace("\x00", "\ufffd") if "\x00" in text else text
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "replace")
    # asked first: a signalling NaN cannot even be compared
    if (isinstance(value, Decimal) and value.is_nan()) or value != value:
        return None
    return str(int(value)) if _is_whole(value) else str(value)


def _is_whole(value: object) -> TypeGuard[float | Decimal]:
    """4711.0 is what a driver makes of an integer column that has nulls."""
    if isinstance(value, Decimal):
        # written out, Decimal("1E+9999") would have as many digits
        return value.is_finite() and value.adjusted() < MAX_DIGITS and value == value.to_integral_value()
    return isinstance(value, float) and value.is_integer()


def clean(text: str | None) -> str:
    """The form that is sent: NFC, without blanks or invisible characters around it; '' for nothing."""
    if not text:
        return ""
    if text.isascii():
        return text.strip()
    return unicodedata.normalize("NFC", text).strip(_AROUND)


def comparable(text: str | None) -> str:
    """The form in which codes and addresses are compared: cleaned and without case."""
    if text and text.isascii():
        return text.strip().lower()
    return unicodedata.normalize("NFC", clean(text).casefold())


def email_key(address: str | None) -> str | None:
    """What two addresses have in common when o2o would take them for one person; None without an address."""
    key = comparable(address)
    return key if 0 < len(key) <= MAX_KEY else None
