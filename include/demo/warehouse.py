"""The demo's HR warehouse: schema `hr`, one table, filled once, then added to and mended."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.pool import NullPool

from demo.people import SEED, STARTERS, Entry, number_of, staff

_DDL = """
create schema if not exists hr;

create table if not exists hr.employee (
    employee_id      text primary key,
    personnel_number text,
    first_name       text,
    last_name        text,
    work_email       text,
    language_code    text,
    contract_type    text,
    company_code     text,
    bike_interest    boolean not null,
    changed_at       timestamptz not null
);

create index if not exists employee_changed_at on hr.employee (changed_at);
"""

# The staff joined over the last hours, one every other minute; whoever is added later changed now.
_INSERT = text("""
    insert into hr.employee (
        employee_id, personnel_number, first_name, last_name, work_email,
        language_code, contract_type, company_code, bike_interest, changed_at
    )
    values (
        :employee_id, :personnel_number, :first_name, :last_name, :work_email,
        :language_code, :contract_type, :company_code, :bike_interest,
        now() - make_interval(mins => :minutes_ago)
    )
    on conflict (employee_id) do nothing
""")

_MEND = text("""
    update hr.employee
    set first_name = :first_name,
        last_name = :last_name,
        work_email = :work_email,
        language_code = :language_code,
        contract_type = :contract_type,
        company_code = :company_code,
        changed_at = now()
    where employee_id = :employee_id
""")


@dataclass(frozen=True)
class Filled:
    """What was put into the warehouse, or mended there."""

    people: int = 0
    interested: int = 0
    defects: tuple[str, ...] = ()

    @classmethod
    def of(cls, entries: list[Entry]) -> Filled:
        return cls(
            people=len(entries),
            interested=sum(entry.as_in_hr.bike_interest for entry in entries),
            defects=tuple(entry.defect.title for entry in entries if entry.defect),
        )


class Warehouse:
    def __init__(self, url: str, *, seed: int = SEED) -> None:
        self._engine: Engine = create_engine(url, poolclass=NullPool)
        self._seed = seed

    def create(self) -> None:
        """Make schema and table unless they are there."""
        with self._engine.begin() as connection:
            connection.exec_driver_sql(_DDL)

    def fill(self, count: int = STARTERS) -> Filled:
        """Put the first `count` people into an empty table; leave a table with people alone."""
        with self._engine.begin() as connection:
            if _highest(connection):
                return Filled()
            return _insert(connection, staff(count, seed=self._seed), minutes_between=2)

    def add(self, count: int) -> Filled:
        """Put `count` more people in, all of them interested."""
        with self._engine.begin() as connection:
            # Two `make people` at a time would otherwise add the same people.
            connection.exec_driver_sql("lock table hr.employee in share row exclusive mode")
            known = max(_highest(connection), STARTERS)
            return _insert(connection, staff(known + count, seed=self._seed)[known:], minutes_between=0)

    def mend(self) -> Filled:
        """Correct what is still wrong; a row that somebody changed by hand since is left alone."""
        with self._engine.begin() as connection:
            rows = {
                row["employee_id"]: dict(row)
                for row in connection.execute(text("select * from hr.employee")).mappings()
            }
            mended = [
                entry
                for entry in staff(_highest(connection), seed=self._seed)
                if entry.defect and _same(asdict(entry.as_in_hr), rows.get(entry.person.employee_id))
            ]
            if mended:
                connection.execute(_MEND, [asdict(entry.person) for entry in mended])
        return Filled.of(mended)


def _insert(connection: Connection, entries: list[Entry], minutes_between: int) -> Filled:
    if not entries:
        return Filled()
    rows = [
        asdict(entry.as_in_hr) | {"minutes_ago": minutes_between * (len(entries) - position)}
        for position, entry in enumerate(entries)
    ]
    connection.execute(_INSERT, rows)
    return Filled.of(entries)


def _highest(connection: Connection) -> int:
    rows = connection.execute(text("select employee_id, personnel_number from hr.employee"))
    return max((number_of(employee_id, number) or 0 for employee_id, number in rows), default=0)


def _same(expected: dict[str, object], row: dict[str, object] | None) -> bool:
    return row is not None and all(row[name] == value for name, value in expected.items())
