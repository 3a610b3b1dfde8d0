"""What a warehouse could deliver where text is expected, and rows made of it, as Hypothesis strategies."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pandas as pd
from hypothesis import strategies as st

Row = dict[str, Any]

COLUMNS = (
    "employee_id",
    "personnel_number",
    "first_name",
    "last_name",
    "work_email",
    "language_code",
    "contract_type",
    "company_code",
    "bike_interest",
    "changed_at",
)
PERSONAL = ("personnel_number", "first_name", "last_name", "work_email")

INJECTIONS = (
    "'; drop table o2o.registration cascade; --",
    "Robert'); delete from o2o.audit; --",
    '"; truncate o2o.attempt; --',
    "{{ var.value.secret }}",
    "{% for x in ().__class__.__mro__ %}{{ x }}{% endfor %}",
    "${HOME}${jndi:ldap://localhost/x}",
    "$(id)`id`",
    "%s %(run_id)s :run_id %d {0} {detail} {observed}",
    '=HYPERLINK("http://localhost";"x")',
    "+1+cmd|'/c calc'!A0",
    "@SUM(1+1)",
    "-2+3",
    "<script>alert(1)</script>",
    "\\.\n\\N\t\\x00",
    "../../../../etc/passwd",
    "a\r\nBcc: everybody@example.com",
)
BROKEN = (
    "",
    " ",
    "\x00",
    "a\x00b",
    "\ud800",
    "Zo\udcebe",
    "\udfff\ud800",
    "\u202egnp.exe",
    "\u2066Jan\u2069",
    "Jan\u200b",
    "\u200d \u200dJan\u200d \u200d",
    "\ufeffJan\u00ad",
    "\u3164",
    "\uffff",
    "\U0010ffff",
    "Z\u0361\u0489" * 40,
    "Zoe\u0308",
    "ﬁne",
    "İstanbul",
    "ẞ",
    "nan",
    "NaT",
    "None",
    "null",
    "NULL",
    "\\N",
    "\x1f",
    "J\x1fan",
    "\x85",
    "a" * 150,
    "a" * 151,
    "é" * 64,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
)


class Huge(str):
    """Text that a failed example need not print."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} characters>"


# the second is not repetitive, so that no compression can hide its size
HUGE = (Huge("a" * 100_000), Huge("".join(chr(0x4E00 + n * 7919 % 20_000) for n in range(20_000))))

texts = st.one_of(
    st.text(max_size=20),
    st.text(st.characters(exclude_categories=()), max_size=20),
    st.sampled_from(INJECTIONS),
    st.sampled_from(BROKEN),
    st.sampled_from(HUGE),
)
numbers = st.one_of(
    st.integers(),
    st.floats(),
    st.decimals(),
    st.sampled_from(
        [4711, 4711.0, Decimal("4711.00"), -0.0, Decimal("-0.0"), 10**40, Decimal(10) ** 40, Decimal("1E+5000")]
    ),
)
moments = st.one_of(
    st.datetimes(),
    st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=14)), timezone(-timedelta(hours=12))])),
    st.dates(),
    st.sampled_from([datetime.min, datetime.max, date.min, date.max, pd.NaT, pd.Timestamp("2026-03-29 02:30")]),
    st.sampled_from([datetime.max.replace(tzinfo=timezone(-timedelta(hours=1)))]),
    st.sampled_from([datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))]),
    st.sampled_from(["2026-03-29T02:30:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "29/03/2026"]),
)
others = st.one_of(
    st.none(),
    st.booleans(),
    st.binary(max_size=20),
    st.binary(max_size=20).map(bytearray),
    st.timedeltas(),
    st.times(),
    st.just(uuid.UUID(int=7)),
    st.lists(st.integers() | st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(max_size=5), st.none() | st.text(max_size=5), max_size=3),
)
anything = texts | numbers | moments | others

# few, so that rows meet: the same person, the same address, and each in other clothes
employee_ids = st.sampled_from(["E1", "E2", "E3", "E4", "E5", "E6", " E1", "E2\u200b", "e3", "É4", "E\u03014", 5, 5.0])
ADDRESSES = """
    a@example.com A@Example.COM b@example.com B@EXAMPLE.com c@example.com ß@example.com SS@example.com İ@example.com
    k@example.com d@münchen.example.com d@MÜNCHEN.example.com l@xn--mnchen-3ya.de e@example。com f+x@example.com
    o'hara@example.com "q"@example.com g@example.com. h@localhost i@[127.0.0.1] =j@example.com
    日本@example.com नमस्ते@example.com 😀@example.com
"""
addresses = st.sampled_from(
    [*ADDRESSES.split(), " a@example.com ", "e@\uff45xample.com", "i\u0307@example.com", "\u212a@example.com"]
)


def good_row(number: int) -> Row:
    """A row that passes every check and shares nothing with another number's."""
    return {
        "employee_id": f"N{number}",
        "personnel_number": f"P{number}",
        "first_name": "Zoë",
        "last_name": "Janssens",
        "work_email": f"n{number}@example.com",
        "language_code": "nl",
        "contract_type": "white_collar",
        "company_code": "ACME",
        "bike_interest": True,
        "changed_at": datetime.now(UTC) - timedelta(minutes=1),
    }


@st.composite
def rows(draw: st.DrawFn, number: int = 0) -> Row:
    """A good row, some of whose columns hold anything, and whose id and address may meet another's."""
    row = good_row(number)
    kind = draw(st.sampled_from(["good", "meeting", "meeting", "odd", "odd", "chaos"]))
    if kind == "meeting":
        row["employee_id"] = draw(employee_ids)
        row["work_email"] = draw(addresses)
        row["last_name"] = draw(st.sampled_from(["Janssens", "Janssens ", "Peeters"]))
    if kind == "odd":
        for column in draw(st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=2, unique=True)):
            row[column] = draw(anything)
    if kind == "chaos":
        row = {column: draw(anything) for column in COLUMNS}
    return row


@st.composite
def batches(draw: st.DrawFn, max_rows: int = 25) -> list[Row]:
    """Rows of one warehouse; some stand there twice, some of those with another date of change."""
    batch = [draw(rows(number)) for number in range(draw(st.integers(1, max_rows)))]
    for again in draw(st.lists(st.sampled_from(batch), max_size=3)):
        moved = draw(st.booleans())
        batch.append({**again, "changed_at": datetime.now(UTC) - timedelta(days=1)} if moved else dict(again))
    return draw(st.permutations(batch))
