"""The same promise over DuckDB and SQLite, and MySQL where there is one, with the SQL of docs/warehouses.md."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from o2o_registration import window
from o2o_registration.config import Config, load_config
from o2o_registration.errors import WarehouseError

from tests.integration.conftest import COLUMNS, Pipeline, person
from tests.integration.mariadb import needs_mariadb, server

MANUAL = (Path(__file__).resolve().parents[2] / "docs" / "warehouses.md").read_text()
MYSQL = os.environ.get("O2O_TEST_MYSQL_URL")
"""As in mysql+pymysql://root@127.0.0.1:3306, of a server whose database `hr` may be dropped; else one of our own."""
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = {1: "Zoë", 2: "李小龍", 3: "Ðorđe", 4: "Ægir 🚲", 5: "O'Brien", 6: 'Anna "An" % :since'}


@dataclass(frozen=True)
class Kind:
    """A database beside PostgreSQL, and the manual's section about it."""

    section: str
    instant: str
    table: str = "hr.employee"
    text: str = "varchar(200)"

    @property
    def documented(self) -> str:
        """The end of the extract's SQL that the manual gives."""
        section = re.split(rf"^## {self.section}$", MANUAL, flags=re.MULTILINE)[1].split("\n## ")[0]
        return re.findall(r"```sql\n(.*?)```", section, re.DOTALL)[0]


KINDS = {
    "duckdb": Kind("DuckDB", "timestamptz"),
    "sqlite": Kind("SQLite", "text", table="employee"),
    "mysql": Kind("MySQL and MariaDB", "datetime(6)"),
}


def where_it_is(*cases: tuple[Any, ...]) -> list[Any]:
    """Cases that begin with a kind; without its server they are skipped, and say so."""
    return [pytest.param(*one, marks=needs_mariadb if one[0] == "mysql" and not MYSQL else ()) for one in cases]


@dataclass
class Elsewhere(Pipeline):
    """The pipeline over another database, reached through an Airflow connection; HR writes by another one."""

    kind: Kind = field(default_factory=lambda: KINDS["duckdb"])
    writing: sa.Engine = field(default_factory=lambda: sa.create_engine("sqlite://"))

    def hr(self, sql: str, *rows: dict[str, Any]) -> None:
        # DuckDB has one way of opening a file per process
        self.warehouse.dispose()
        with self.writing.begin() as connection:
            for row in rows or ({},):
                connection.execute(sa.text(sql), {name: self.stored(value) for name, value in row.items()})

    def stored(self, value: Any) -> Any:
        if isinstance(value, datetime) and self.writing.dialect.name == "sqlite":
            return value.isoformat()
        if isinstance(value, datetime) and self.writing.dialect.name in ("mysql", "mariadb"):
            return value.astimezone(UTC).replace(tzinfo=None)
        return value

    def make_table(self, instant: str | None = None) -> None:
        texts = ", ".join(f"{name} {self.kind.text}" for name in COLUMNS.split(", ")[:-2])
        self.hr(f"drop table if exists {self.kind.table}")
        # MariaDB's first timestamp column would be not null
        self.hr(
            f"create table {self.kind.table}"
            f" ({texts}, bike_interest {self.kind.text}, changed_at {instant or self.kind.instant} null)"
        )

    def hire(self, *people: dict[str, Any]) -> None:
        self.hr(f"insert into {self.kind.table} ({COLUMNS}) values (:{COLUMNS.replace(', ', ', :')})", *people)

    def mend(self, employee_id: str, **columns: Any) -> None:
        changed = {"changed_at": datetime.now(UTC), **columns}
        changes = ", ".join(f"{name} = :{name}" for name in changed)
        self.hr(f"update {self.kind.table} set {changes} where employee_id = :id", {**changed, "id": employee_id})

    def sql(self, where: str, changed_at: str = "changed_at") -> None:
        """The shipped select list over another end, with an expression in the place of the date of change."""
        head, _, _ = load_config().extract_sql.partition("from hr.employee")
        head = head.replace("    changed_at", f"    {changed_at} as changed_at")
        where = re.sub(r"\bchanged_at\b", lambda _: f"({changed_at})", where)
        self.config = replace(self.config, extract_sql=head + where)


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The connections' plugin, imported without an Airflow of anybody's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
        import o2o_connections
    return o2o_connections


@pytest.fixture(params=where_it_is(*((one,) for one in KINDS)))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def mysql() -> Iterator[sa.URL]:
    if MYSQL:
        yield sa.make_url(MYSQL)
        return
    with server() as url:
        yield url


@pytest.fixture
def elsewhere(
    request: pytest.FixtureRequest,
    name: str,
    plugin: Any,
    ledger_engine: sa.Engine,
    config: Config,
    simulator: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Elsewhere]:
    """An empty HR table, and the engine that a task would get."""
    file = tmp_path / "hr of ëlsewhere"
    if name == "mysql":
        url = request.getfixturevalue("mysql")
        with sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool).connect() as connection:
            connection.exec_driver_sql("drop database if exists hr")
            connection.exec_driver_sql("create database hr character set utf8mb4")
        settings = {"host": url.host, "port": url.port, "login": url.username, "password": url.password, "schema": "hr"}
        writing = url.set(database="hr").update_query_dict({"init_command": "set time_zone = '+00:00'"})
    else:
        # a session's own time zone, where there is one, must not shift the window
        settings = {"host": str(file), "extra": {"timezone": "America/New_York"} if name == "duckdb" else {}}
        writing = sa.URL.create(name, database=str(file))
    monkeypatch.setenv("AIRFLOW_CONN_HR_WAREHOUSE", json.dumps({"conn_type": name, **settings}))
    engine = sa.create_engine(writing, poolclass=sa.NullPool)
    made = Elsewhere(
        plugin.warehouse_engine(config.client), ledger_engine, config, simulator, kind=KINDS[name], writing=engine
    )
    made.settings("delivery", calls_per_second=2000.0, read_seconds=1.0, connect_seconds=1.0, max_wait_seconds=3.0)
    made.settings("window", chunk_rows=7)
    if name == "duckdb":
        made.hr("create schema hr")
    made.make_table()
    made.sql(KINDS[name].documented)
    yield made
    made.warehouse.dispose()
    engine.dispose()


def test_everybody_is_mailed_once_whatever_changes_afterwards(elsewhere: Elsewhere) -> None:
    """Thirty people in chunks of seven; a bad row is mended later, a registered one changes, one is not interested."""
    people = [person(n, first_name=NAMES.get(n, "Jan"), bike_interest="1") for n in range(1, 31)]
    elsewhere.hire(*people, person(98, bike_interest="no"), person(99, work_email="nope", bike_interest="Y"))
    first = elsewhere.run()
    assert (first.extracted, first.quarantined, first.created) == (31, 1, 30)
    again = elsewhere.run()
    assert (again.extracted, again.known, again.calls) == (31, 31, 0)
    elsewhere.mend("E1", first_name="Zoé")
    elsewhere.mend("E99", work_email="e99@example.com")
    elsewhere.mend("E98", bike_interest="true")
    later = elsewhere.run()
    assert (later.known, later.created) == (30, 2)
    assert sorted(employee for employee, _ in elsewhere.mails()) == sorted(f"E{n}" for n in (*range(1, 31), 98, 99))
    sent = dict(elsewhere.query("select employee_id, payload -> 'user' ->> 'FirstName' from o2o.registration"))
    assert {n: sent[f"E{n}"] for n in NAMES} == NAMES


def as_utc_text(pattern: str) -> Callable[[datetime], str]:
    return lambda at: at.strftime(pattern)


def in_india(at: datetime) -> str:
    return at.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat()


def without_zone(at: datetime) -> datetime:
    return at.replace(tzinfo=None)


NOTATIONS: list[tuple[str, str, Callable[[datetime], Any]]] = [
    ("duckdb", "timestamptz", lambda at: at),
    ("duckdb", "timestamp", without_zone),
    ("sqlite", "text", as_utc_text("%Y-%m-%d %H:%M:%S.%f")),
    ("sqlite", "text", as_utc_text("%Y-%m-%dT%H:%M:%S.%fZ")),
    ("sqlite", "text", in_india),
    ("mysql", "datetime(6)", lambda at: at),
    ("mysql", "timestamp(6)", lambda at: at),
]


@pytest.mark.parametrize(("name", "kept_as", "keep"), where_it_is(*NOTATIONS), indirect=["name"])
def test_windows_touch_and_do_not_overlap_however_an_instant_is_kept(
    elsewhere: Elsewhere, kept_as: str, keep: Callable[[datetime], Any]
) -> None:
    """`since` belongs to the window, `until` to the next one."""
    elsewhere.make_table(kept_as)
    seconds = (-0.001, 0, 299.999, 300, 599.999, 600)
    elsewhere.hire(*(person(n, changed_at=keep(NOON + timedelta(seconds=at))) for n, at in enumerate(seconds)))
    five = timedelta(minutes=5)
    windows = [(NOON - five, NOON), (NOON, NOON + five), (NOON + five, NOON + 2 * five)]
    read = [elsewhere.read(since=since, until=until) for since, until in windows]
    found = elsewhere.query("select run_id, array_agg(employee_id order by employee_id) from o2o.candidate group by 1")
    assert [dict(found)[run.run_id] for run in read] == [["E0"], ["E1", "E2"], ["E3", "E4"]]


def test_a_row_that_changes_between_two_scheduled_runs_is_in_the_next_one(elsewhere: Elsewhere) -> None:
    """By the watermark and without any lookback, when the table's times are compared in UTC."""
    elsewhere.settings("window", lookback_hours=0.0)
    elsewhere.run(kind="scheduled", interval=(NOON - timedelta(minutes=5), NOON), run_after=NOON)
    elsewhere.hire(person(1, changed_at=NOON + timedelta(minutes=1), bike_interest="yes"))
    until = NOON + timedelta(minutes=5)
    assert elsewhere.run(kind="scheduled", interval=(NOON, until), run_after=until).created == 1


def test_a_row_without_a_usable_date_of_change_is_named_and_not_lost(name: str, elsewhere: Elsewhere) -> None:
    """Null, a spreadsheet's zero, MySQL's zero: read by every run, and set aside or registered."""
    placeholders: list[Any] = [None, datetime(1899, 12, 30, tzinfo=UTC)]
    if name == "sqlite":
        placeholders.append("never")
    elsewhere.hire(*(person(n, changed_at=at, bike_interest="yes") for n, at in enumerate(placeholders)))
    if name == "mysql":
        placeholders.append("0000-00-00")
        zero = COLUMNS.removesuffix(", changed_at")
        elsewhere.hr(f"insert ignore into hr.employee select {zero}, '0000-00-00' from hr.employee limit 1")
    summary = elsewhere.run(since=NOON, until=NOON + timedelta(minutes=5))
    assert summary.extracted == len(placeholders)
    assert summary.known + summary.quarantined + summary.registered == len(placeholders)


def test_a_date_of_change_that_was_mistyped_into_the_future_is_named_and_not_lost(elsewhere: Elsewhere) -> None:
    """Read by every run; one that is only a few days ahead waits for its day."""
    days = (9, 2)
    ahead = (datetime.now(UTC) + timedelta(days=number) for number in days)
    elsewhere.hire(*(person(n, changed_at=at, bike_interest="yes") for n, at in zip(days, ahead, strict=True)))
    summary = elsewhere.run(since=NOON, until=NOON + timedelta(minutes=5))
    assert (summary.extracted, summary.quarantined) == (1, 1)
    found = elsewhere.query("select source_key, reasons -> 0 ->> 'code' from o2o.quarantine")
    assert found == [("E9", "changed_at_in_future")]
    elsewhere.mend("E9", bike_interest="y")
    assert elsewhere.run().created == 1


def dates_of_change() -> Iterator[tuple[str, str, Any, str]]:
    """Kind, column type, what HR keeps for noon in UTC, and the manual's expression for it."""
    rows = re.findall(r"^\| ([^|]*) \| `([^|]*)` \| `?([^`|]*)`? \|$", MANUAL.split("## Dates of change")[1], re.M)
    expressions = {warehouse: (epoch, local) for warehouse, epoch, local in rows}
    for name, warehouse in (("duckdb", "DuckDB"), ("sqlite", "SQLite"), ("mysql", "MySQL, MariaDB")):
        yield name, "bigint", int(NOON.timestamp()), expressions[warehouse][0]
    yield "duckdb", "timestamp", datetime(2026, 3, 1, 13), expressions["DuckDB"][1]


@pytest.mark.parametrize(("name", "kept_as", "kept", "expression"), where_it_is(*dates_of_change()), indirect=["name"])
def test_numbers_and_local_times_become_instants_by_the_manuals_expressions(
    elsewhere: Elsewhere, kept_as: str, kept: Any, expression: str
) -> None:
    """In the select list and in the comparison."""
    elsewhere.make_table(kept_as)
    elsewhere.hire(person(1, changed_at=kept))
    elsewhere.sql(elsewhere.kind.documented, expression)
    assert elsewhere.run(since=NOON - timedelta(minutes=5), until=NOON).extracted == 0
    run = elsewhere.read(since=NOON, until=NOON + timedelta(seconds=1))
    assert isinstance(run, window.Run)
    assert elsewhere.query("select changed_at from o2o.candidate") == [(NOON,)]


BITS = [("sqlite", "blob"), ("mysql", "bit(1)")]


@pytest.mark.parametrize(("name", "bit"), where_it_is(*BITS), indirect=["name"])
def test_an_interest_kept_as_a_bit_is_understood(elsewhere: Elsewhere, bit: str) -> None:
    """MySQL's driver gives bytes for it."""
    elsewhere.hr(f"alter table {elsewhere.kind.table} drop column bike_interest")
    elsewhere.hr(f"alter table {elsewhere.kind.table} add column bike_interest {bit}")
    elsewhere.hire(person(1, bike_interest=b"\x01"), person(2, bike_interest=b"\x00"))
    assert elsewhere.run().created == 1
    assert elsewhere.statuses() == {"E1": "created"}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("from hr.employee", "from hr.staff", r"refused interested_employees.sql: .*staff"),
        ("    work_email,", "    work_mail,", r"refused interested_employees.sql: .*work_mail"),
        ("    work_email,", "    '' as mail,", r"no column 'work_email', which mapping.yaml \(columns.email\)"),
    ],
)
def test_a_missing_table_or_column_is_named(elsewhere: Elsewhere, old: str, new: str, words: str) -> None:
    """In the database's own words, without data."""
    elsewhere.hire(person(1, bike_interest="yes"))
    good = elsewhere.config
    old, new = (part.replace("hr.", elsewhere.kind.table.partition("employee")[0]) for part in (old, new))
    assert old in good.extract_sql
    elsewhere.config = replace(good, extract_sql=good.extract_sql.replace(old, new))
    with pytest.raises(WarehouseError, match=words) as caught:
        elsewhere.run()
    assert "Janssens" not in str(caught.value)
    elsewhere.config = good
    assert elsewhere.run().created == 1


@pytest.mark.parametrize("name", ["duckdb"], indirect=True)
def test_a_value_that_does_not_fit_a_cast_is_not_quoted(elsewhere: Elsewhere) -> None:
    """SQLite and MySQL refuse none, they make a zero of it."""
    elsewhere.hire(person(1, personnel_number="geheim@example.com", bike_interest="yes"))
    sql = elsewhere.config.extract_sql
    sql = sql.replace("    personnel_number", "    cast(personnel_number as integer) as personnel_number")
    elsewhere.config = replace(elsewhere.config, extract_sql=sql)
    with pytest.raises(WarehouseError, match="ConversionException") as caught:
        elsewhere.run()
    assert "geheim" not in str(caught.value)


FILES = pytest.mark.parametrize("name", ["duckdb", "sqlite"], indirect=True)


@FILES
def test_a_file_that_is_not_there_is_an_error_and_is_not_made(elsewhere: Elsewhere, tmp_path: Path) -> None:
    """An empty database in its place would look like a day without news."""
    file = tmp_path / "hr of ëlsewhere"
    moved = file.rename(tmp_path / "away")
    with pytest.raises(WarehouseError, match="'hr_warehouse'"):
        elsewhere.run()
    assert not file.exists()
    moved.rename(file)
    assert elsewhere.run().extracted == 0


@FILES
def test_a_file_is_opened_to_read_alone(elsewhere: Elsewhere) -> None:
    """Whatever somebody writes into the SQL."""
    elsewhere.hire(person(1))
    with pytest.raises(sa.exc.DBAPIError, match=r"(?i)read.?only"), elsewhere.warehouse.begin() as connection:
        connection.execute(sa.text(f"delete from {elsewhere.kind.table}"))


@pytest.mark.parametrize("name", ["duckdb"], indirect=True)
def test_a_file_that_another_process_writes_is_read_by_the_next_run(elsewhere: Elsewhere) -> None:
    """DuckDB lets nobody read meanwhile; the error says so, and nobody is lost."""
    elsewhere.hire(person(1, bike_interest="yes"))
    program = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", program, str(elsewhere.writing.url.database)]
    elsewhere.warehouse.dispose()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"held\n"
        with pytest.raises(WarehouseError, match="Could not set lock on file"):
            elsewhere.run()
        writer.communicate(b"")
    assert elsewhere.run().created == 1
