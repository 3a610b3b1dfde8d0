"""Numbers as the person on call reads them: one small table at the end of a task."""

from __future__ import annotations

from collections.abc import Mapping


def table(title: str, rows: Mapping[str, object]) -> str:
    """`title` and one aligned line per entry; integers with thousands separators."""
    shown = {name: f"{value:,}" if isinstance(value, int) else str(value) for name, value in rows.items()}
    left = max((len(name) for name in shown), default=0)
    right = max((len(value) for value in shown.values()), default=0)
    lines = [f"  {name:<{left}}  {value:>{right}}" for name, value in shown.items()]
    return "\n".join([title, *lines])
