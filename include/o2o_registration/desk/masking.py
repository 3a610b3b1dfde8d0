"""Personal data as somebody sees it who may look but not act: enough to recognise, not enough to use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PERSONAL = frozenset(
    {
        *("FirstName", "LastName", "Email", "PersonnelNumber"),
        *("first_name", "last_name", "email", "personnel_number"),
    }
)


def mask(value: str) -> str:
    """'Janssens' -> 'J…'; 'jan@example.com' -> 'j…@e…'."""
    return "@".join(f"{part[:1]}…" for part in value.split("@")) if value else value


def masked(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same mapping with its personal values masked."""
    return {name: mask(str(value)) if name in PERSONAL and value else value for name, value in values.items()}
