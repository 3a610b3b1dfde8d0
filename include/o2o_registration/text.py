"""Text as it comes from HR, brought into the forms in which the pipeline stores, compares and sends it."""

from __future__ import annotations

import unicodedata
from decimal import Decimal

# str.strip() leaves these, and HR systems paste them in from spreadsheets and web forms
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad"

MAX_KEY = 320
"""An e-mail address has at most 320 characters; longer text is no address and would not fit an index."""


def storable(value: object) -> str | None:
    """Any scalar a warehouse driver returns as text that PostgreSQL can hold; None for null and NaN."""
    if value is None or value != value:
        return None
    if isinstance(value, str):
        text = value
    elif isinstance(value, bytes | bytearray | memoryview):
        text = bytes(value).decode("utf-8", "replace")
    elif isinstance(value, float | Decimal) and value == value // 1:
        # 4711.0 is what a driver makes of an integer column that has nulls
        text = str(int(value))
    else:
        text = str(value)
    if text.isascii():
        return text.replace("\x00", "\ufffd") if "\x00" in text else text
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def clean(text: str | None) -> str:
    """The form that is sent: NFC, without blanks or invisible characters around it; '' for nothing."""
    if not text:
        return ""
    if text.isascii():
        return text.strip()
    return unicodedata.normalize("NFC", text).strip().strip(_INVISIBLE).strip()


def comparable(text: str | None) -> str:
    """The form in which codes and addresses are compared: cleaned and without case."""
    if text and text.isascii():
        return text.strip().lower()
    return unicodedata.normalize("NFC", clean(text).casefold())


def email_key(address: str | None) -> str | None:
    """What two addresses have in common when o2o would take them for one person; None without an address."""
    key = comparable(address)
    return key if 0 < len(key) <= MAX_KEY else None
