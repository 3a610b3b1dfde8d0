"""Whatever stands in the HR warehouse: every row is posted or quarantined, and nobody is e-mailed twice."""

from __future__ import annotations

import logging
import pickle
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from o2o_registration import building, checking, extract
from o2o_registration.config import SOURCE_FIELDS, Config
from o2o_registration.errors import WrongToken
from o2o_registration.ledger.tables import metadata
from o2o_registration.text import clean, comparable, storable
from o2o_simulator import Subject

from tests.integration.conftest import TOKEN, Pipeline
from tests.integration.odd_values import COLUMNS, INJECTIONS, PERSONAL, Row, batches, good_row, rows, texts

# SQLite has no type for most of what a driver could return: values are kept pickled, and its driver unpickles them
sqlite3.register_converter("anything", pickle.loads)

PROFILE = settings(
    deadline=None,
    derandomize=False,
    print_blob=True,
    # a run takes half a second, so that the smallest example takes minutes: add Phase.shrink to a failure's blob
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    # the fixture empties everything before each example
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
EXTRACT = f"select {', '.join(COLUMNS)} from employee where :since < :until"
NO = ("", "0", "f", "false", "n", "no", "off")
MARK = "Qzx7"


class AnyWarehouse(Pipeline):
    """The pipeline over an HR table whose columns hold any value, all of it read by each run."""

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        printer.text("any_warehouse")  # a failed example is about its rows

    def fill(self, people: Iterable[Row]) -> None:
        """Have exactly these rows in the table, in this order."""
        kept = [tuple(pickle.dumps(row[column]) for column in COLUMNS) for row in people]
        with self.warehouse.begin() as connection:
            connection.exec_driver_sql("delete from employee")
            if kept:
                connection.exec_driver_sql(f"insert into employee values ({', '.join('?' * len(COLUMNS))})", kept)

    def empty(self) -> None:
        """Back to the beginning: no rows, no ledger, no mails."""
        # the breaker's one row was put there by a migration
        tables = ", ".join(name for name in metadata.tables if name != "o2o.delivery_state")
        with self.ledger.begin() as connection:
            connection.execute(sa.text("set local session_replication_role = replica"))  # the audit's guard, too
            connection.execute(sa.text(f"truncate {tables} restart identity"))
        self.simulator.reset()
        self.fill([])


@pytest.fixture
def any_warehouse(ledger_engine: sa.Engine, config: Config, simulator: Any) -> Iterator[AnyWarehouse]:
    engine = sa.create_engine(
        "sqlite://", poolclass=sa.StaticPool, connect_args={"detect_types": sqlite3.PARSE_DECLTYPES}
    )
    with engine.begin() as connection:
        connection.exec_driver_sql(f"create table employee ({', '.join(f'{name} anything' for name in COLUMNS)})")
    made = AnyWarehouse(engine, ledger_engine, replace(config, extract_sql=EXTRACT), simulator)
    made.settings("delivery", calls_per_second=2000.0, read_seconds=5.0, connect_seconds=5.0)
    # how large a share of bad rows stops a run is not the question here
    made.settings("quality", max_bad_share=1.0)
    yield made
    engine.dispose()


def assert_all_accounted_for(pipeline: AnyWarehouse, people: Sequence[Row]) -> None:
    """Each interested row's person was posted and answered, or the row is in quarantine with its reasons."""
    statuses = pipeline.statuses()
    assert set(statuses.values()) <= {"created", "rejected", "withdrawn"}
    mailed = {mail.employee_id for mail in pipeline.simulator.mailbox}
    assert mailed == {employee for employee, status in statuses.items() if status == "created"}
    # o2o need not take every address that RFC 6531 allows, but it does take those of plain letters
    refused = pipeline.query("select payload #>> '{user,Email}' from o2o.registration where status = 'rejected'")
    assert not any(address.isascii() for (address,) in refused)
    answered = {employee for (employee,) in pipeline.query("select employee_id from o2o.audit where http_status > 0")}
    quarantined = set()
    for row, reasons in pipeline.query("select row, reasons from o2o.quarantine"):
        assert reasons
        assert all(reason["code"] and reason["words"] for reason in reasons)
        quarantined.add(tuple(row[field] for field in SOURCE_FIELDS))
    for person in people:
        text = tuple(storable(person[column]) for column in COLUMNS[: len(SOURCE_FIELDS)])
        assert clean(text[0]) in answered or text in quarantined


def interested(people: Iterable[Row]) -> list[Row]:
    """The rows of people none of whose rows says that they are not interested."""
    declines = [row for row in people if comparable(storable(row["bike_interest"])) in NO]
    declined = {who(row) for row in declines if who(row)}
    # by identity: a signalling NaN cannot be compared
    return [row for row in people if who(row) not in declined and not any(row is other for other in declines)]


def current(people: Iterable[Row]) -> list[Row]:
    """The rows that no newer row of the same person has replaced."""
    newest: dict[str, datetime] = {}
    for row in people:
        at = extract._instant(row["changed_at"])
        if at and at <= datetime.now(UTC) and 0 < len(who(row)) <= extract.MAX_EMPLOYEE_ID:
            newest[who(row)] = max(at, newest.get(who(row), at))
    return [
        row for row in people if (at := extract._instant(row["changed_at"])) is None or at >= newest.get(who(row), at)
    ]


def consistent(people: Iterable[Row]) -> list[Row]:
    """The rows of people whose rows all say the same; which of the others is in quarantine depends on their order."""
    versions: dict[str, set[str]] = {}
    for row in people:
        versions.setdefault(who(row), set()).add(str([storable(row[column]) for column in COLUMNS[:-1]]))
    return [row for row in people if not who(row) or len(versions[who(row)]) == 1]


def who(row: Row) -> str:
    return clean(storable(row["employee_id"]))


def assert_nobody_mailed_twice(pipeline: AnyWarehouse) -> None:
    """Neither by employee id nor by address, however that is written."""
    mails = pipeline.simulator.mailbox
    assert max(Counter(mail.employee_id for mail in mails).values(), default=1) == 1
    assert max(Counter(mail.to.lower() for mail in mails).values(), default=1) == 1
    assert {mail.subject for mail in mails} <= {Subject.WELCOME}


def assert_bodies_conform(pipeline: AnyWarehouse) -> None:
    """What o2o gets is its documented body: its fields, all text, its words, its lengths."""
    for (payload,) in pipeline.query("select payload from o2o.registration"):
        assert list(payload) == ["user"]
        user = payload["user"]
        assert set(user) == {
            *("BikePlanCode", "FirstName", "LastName", "Email", "Language", "ContractType"),
            *("partner_EmployeeID", "PersonnelNumber"),
        }
        assert all(isinstance(value, str) for value in user.values())
        assert user["Language"] in ("NL", "FR", "EN")
        assert user["ContractType"] in ("", "clerk", "worker")
        assert user["BikePlanCode"] in pipeline.config.mapping.bike_plans.values()
        assert all(user[name].strip() for name in ("FirstName", "LastName", "Email", "partner_EmployeeID"))
        assert all(clean(value) == value for value in user.values())
        assert len(user["Email"]) <= 254


def assert_ledger_intact(pipeline: AnyWarehouse) -> None:
    """No table is gone, none is new."""
    tables = {name for (name,) in pipeline.query("select tablename from pg_tables where schemaname = 'o2o'")}
    assert tables == {table.name for table in metadata.sorted_tables} | {"alembic_version"}


@settings(PROFILE, max_examples=25)
@given(people=batches())
def test_any_rows_are_posted_or_quarantined_and_a_second_run_changes_nothing(
    any_warehouse: AnyWarehouse, people: list[Row]
) -> None:
    """Never a crash; the numbers add up; what passes the checks is what o2o accepts."""
    any_warehouse.empty()
    any_warehouse.fill(people)
    first = any_warehouse.run()
    assert first.extracted == first.known + first.quarantined + first.registered
    assert first.registered == first.calls == first.created + first.rejected
    assert_all_accounted_for(any_warehouse, current(interested(people)))
    assert_nobody_mailed_twice(any_warehouse)
    assert_bodies_conform(any_warehouse)
    assert_ledger_intact(any_warehouse)
    second = any_warehouse.run()
    assert (second.calls, second.registered) == (0, 0)
    assert_all_accounted_for(any_warehouse, current(interested(people)))


def test_injections_into_every_column_are_text_like_any_other(any_warehouse: AnyWarehouse) -> None:
    """A name made of SQL, templates or formulas is posted as it stands; nothing is run, nothing is lost."""
    people = [
        {**good_row(100 * position + number), column: text}
        for position, column in enumerate(COLUMNS)
        for number, text in enumerate(INJECTIONS)
    ]
    any_warehouse.fill(people)
    any_warehouse.run()
    assert_all_accounted_for(any_warehouse, interested(people))
    assert_ledger_intact(any_warehouse)
    sent = {name for (name,) in any_warehouse.query("select payload #>> '{user,LastName}' from o2o.registration")}
    assert {text for text in INJECTIONS if text.isprintable() and any(map(str.isalpha, text))} <= sent


marked = texts.map(lambda text: f"{text[:20]}{MARK}{text[20:40]}")
marked_rows = st.builds(
    lambda row, values: {**row, **values},
    rows(),
    st.fixed_dictionaries({}, optional=dict.fromkeys(PERSONAL, marked)),
)


@settings(PROFILE, max_examples=8)
@given(people=st.lists(marked_rows, min_size=1, max_size=20))
def test_nothing_personal_is_logged_or_kept_outside_the_databases_rows(
    any_warehouse: AnyWarehouse,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    people: list[Row],
) -> None:
    """Names, addresses and numbers are in no log at any level, and not in the audit or a reason's words."""
    caplog.set_level(logging.DEBUG)
    any_warehouse.empty()
    any_warehouse.fill([{**good_row(n), **person, "employee_id": f"E{n}"} for n, person in enumerate(people)])
    any_warehouse.run()
    audited = any_warehouse.query("select to_jsonb(a)::text from o2o.audit a")
    reasons = any_warehouse.query("select reasons::text from o2o.quarantine")
    for text in (caplog.text, *capfd.readouterr(), *(row[0] for row in audited + reasons)):
        assert MARK.casefold() not in text.casefold()


changes = st.one_of(
    st.tuples(st.sampled_from(["add", "change"]), st.integers(0, 30), rows()),
    st.tuples(st.sampled_from(["touch", "remove", "repeat", "decline"]), st.integers(0, 30), st.none()),
)
fates = st.sampled_from(["well", "well", "dry run", "dies after extract", "dies after build", "token expired"])


def changed(people: list[Row], change: tuple[str, int, Row | None]) -> list[Row]:
    """The warehouse after one change of one row."""
    kind, position, new = change
    if kind == "add":
        return [*people, {**good_row(position), **(new or {})}]
    if not people:
        return people
    at = position % len(people)
    now = datetime.now(UTC)
    replaced: dict[str, list[Row]] = {
        "change": [{**people[at], **(new or {}), "employee_id": people[at]["employee_id"]}],
        "touch": [{**people[at], "changed_at": now}],
        "remove": [],
        "repeat": [people[at], {**people[at], "changed_at": now}],
        "decline": [{**people[at], "bike_interest": False}],
    }
    return [*people[:at], *replaced[kind], *people[at + 1 :]]


def go(pipeline: AnyWarehouse, fate: str) -> None:
    """One run that meets this fate."""
    if fate in ("well", "dry run"):
        pipeline.run(dry_run=fate == "dry run")
    elif fate == "token expired":
        pipeline.token = "an-old-one"
        with suppress(WrongToken):
            pipeline.run()
        pipeline.token = TOKEN
    else:
        run = pipeline.read()
        if fate == "dies after build":
            checking.check(pipeline.ledger, pipeline.config, run.run_id)
            building.build(pipeline.ledger, pipeline.config, run.run_id)


@settings(PROFILE, max_examples=10)
@given(start=batches(15), later=st.lists(st.tuples(st.lists(changes, max_size=6), fates), min_size=1, max_size=5))
def test_nobody_is_mailed_twice_whatever_hr_changes_between_runs(
    any_warehouse: AnyWarehouse, start: list[Row], later: list[tuple[list[tuple[str, int, Row | None]], str]]
) -> None:
    """Rows come, change, repeat and go, and runs die; after one that goes well, all are accounted for."""
    any_warehouse.empty()
    people = start
    any_warehouse.fill(people)
    any_warehouse.run()
    for edits, fate in later:
        for edit in edits:
            people = changed(people, edit)
        any_warehouse.fill(people)
        go(any_warehouse, fate)
        assert_nobody_mailed_twice(any_warehouse)
    # the second finds the address free that somebody gave up in the first
    for _ in range(2):
        any_warehouse.run()
    assert_nobody_mailed_twice(any_warehouse)
    assert_all_accounted_for(any_warehouse, interested(consistent(people)))
    assert_bodies_conform(any_warehouse)
