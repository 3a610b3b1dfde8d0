"""Who is stuck: quarantined, rejected, in doubt, held; a page at a time, whatever their number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from o2o_registration.desk.overview import moment

ListName = Literal["quarantined", "rejected", "in_doubt", "held"]
SortName = Literal["since", "employee_id", "reason"]
PAGE = 50
_SORTS: dict[SortName, tuple[str, str]] = {
    "since": ("since", "timestamptz"),
    "employee_id": ("key", "text"),
    "reason": ("first_reason", "text"),
}
"""What a list is sorted by: column and type."""
CSV_COLUMNS = ("employee_id", "since", "reason", "first_name", "last_name", "email")


@dataclass(frozen=True)
class Page:
    """Rows as dicts of CSV_COLUMNS; `after` asks for the next page, None at the end."""

    rows: list[dict[str, Any]]
    after: list[str] | None


def page(
    ledger: sa.Engine,
    name: ListName,
    reason: str | None = None,
    after: list[str] | None = None,
    sort: SortName = "since",
    descending: bool = False,
    size: int = PAGE,
) -> Page:
    """Sorted, then by id: a page starts behind the last row of the one before, so that deep pages cost no more."""
    order, beyond = ("desc", "<") if descending else ("asc", ">")
    source = _QUARANTINE if name == "quarantined" else _REGISTRATION
    column, kind = _SORTS[sort]
    sql = f"""
        select * from ({source}) as one
        where (cast(:at as {kind}) is null or ({column}, key) {beyond} (cast(:at as {kind}), :key))
        order by {column} {order}, key {order} limit :size
    """  # noqa: S608 - constants of this module
    at, key = after or (None, None)
    with ledger.connect() as connection:
        found = connection.execute(
            sa.text(sql), {"status": name, "reason": reason, "at": at, "key": key, "size": size + 1}
        ).all()
    rows = [_row(one) for one in found[:size]]
    more = len(found) > size
    last = found[size - 1] if more else None
    return Page(rows, None if last is None else [_text(getattr(last, column)), last.key])


def _text(value: Any) -> str:
    return str(value.isoformat() if hasattr(value, "isoformat") else value)


def rows(ledger: sa.Engine, name: ListName, reason: str | None = None) -> Iterator[dict[str, Any]]:
    """All of them, for a download."""
    after: list[str] | None = None
    while True:
        found = page(ledger, name, reason, after, size=1000)
        yield from found.rows
        after = found.after
        if after is None:
            return


def _row(one: Any) -> dict[str, Any]:
    return {
        "employee_id": one.key,
        "since": moment(one.since),
        "reason": one.reason,
        "first_name": one.first_name,
        "last_name": one.last_name,
        "email": one.email,
    }


_REGISTRATION = """
    select employee_id as key, updated_at as since, coalesce(detail, '') as reason,
           coalesce(detail, '') as first_reason,
           payload -> 'user' ->> 'FirstName' as first_name, payload -> 'user' ->> 'LastName' as last_name,
           payload -> 'user' ->> 'Email' as email
    from o2o.registration
    where status = :status and (cast(:reason as text) is null or detail = :reason)
"""
_QUARANTINE = """
    select source_key as key, quarantined_at as since,
           (select string_agg(reason ->> 'words', ' ') from jsonb_array_elements(reasons) as reason) as reason,
           -- what it is sorted by: the words of all would be put together for every row
           coalesce(reasons #>> '{0,words}', '') as first_reason,
           "row" ->> 'first_name' as first_name, "row" ->> 'last_name' as last_name, "row" ->> 'email' as email
    from o2o.quarantine
    where cast(:status as text) is not null
      and (cast(:reason as text) is null or reasons @> jsonb_build_array(jsonb_build_object('code', :reason)))
"""
