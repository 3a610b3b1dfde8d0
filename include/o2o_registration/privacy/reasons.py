"""Why somebody decided, as the audit may keep it for good: without the people it is about.

A reason stands in the rows of all who were decided about together. Whoever is erased later must be in none of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

import sqlalchemy as sa

from o2o_registration.answers import fold, redact
from o2o_registration.desk.masking import PERSONAL
from o2o_registration.text import clean

_WORD = re.compile(r"\w+(?:[-./:+]\w+)*")
_PART = re.compile(r"\w+")
_DAY_OR_YEAR = re.compile(r"\d{1,2}|(?:19|20)\d\d")
_ROWS = 20_000


def redacted(connection: sa.Connection, why: str, named: Collection[str], others: Collection[str] = ()) -> str:
    """The reason without e-mail addresses, and without names, numbers and ids of those `named`, of the `others` whom
    the decision concerns, and of whoever it mentions by employee id.

    Whole words alone. A bare number that may be a day or a year goes only where it is of somebody named.
    """
    why = clean(why)
    text, known = fold(why), set(named)
    found = set(known)
    mentioned = {*_WORD.findall(why), *_PART.findall(why)}
    for employee_id, value in _values(connection, {*known, *others, *mentioned}):
        if fold(value) in text and (employee_id in known or not _DAY_OR_YEAR.fullmatch(value)):
            found.add(value)
    return redact(why, *filter(_PART.search, found), whole_words=True)


def _values(connection: sa.Connection, ids: Collection[str]) -> Iterator[tuple[str, str]]:
    """(Employee id, personal value), the id itself among the values; they may be very many."""
    rows = connection.execute(sa.text(_HELD), {"ids": list(ids)}, execution_options={"yield_per": _ROWS})
    for employee_id, details in rows:
        yield employee_id, employee_id
        for value in _personal(details or {}):
            yield employee_id, value


def _personal(details: dict[str, Any]) -> Iterator[str]:
    return filter(None, (clean(str(value)) for name, value in details.items() if value and name in PERSONAL))


_HELD = """
    select employee_id, payload -> 'user' from o2o.registration where employee_id = any(:ids)
    union all
    select source_key, "row" from o2o.quarantine where source_key = any(:ids) or employee_id = any(:ids)
    union all
    select source_key, to_jsonb(c) from o2o.candidate c where source_key = any(:ids)
"""
