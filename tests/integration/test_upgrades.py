"""From every revision that was ever released to the newest, with rows in every table; and back, where nothing is lost.

`ledgers/` holds what the code of each revision had written, in the middle of a run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from demo.postgres import PostgresServer
from o2o_registration import audit, building, checking, fuse, ledger
from o2o_registration.__main__ import URL, main
from o2o_registration.errors import LedgerError
from o2o_registration.window import Run, Window

from tests.integration.conftest import Pipeline, person

ROOT = Path(__file__).resolve().parents[2]
LEDGERS = Path(__file__).parent / "ledgers"
MIGRATIONS = ROOT / "include" / "o2o_registration" / "ledger" / "migrations"
REVISIONS = [one.revision for one in reversed(list(ScriptDirectory(str(MIGRATIONS)).walk_revisions()))]
EMPTY = "ledger without rows"

Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture
def ledger_url(request: pytest.FixtureRequest, postgres: PostgresServer) -> Iterator[str]:
    """A ledger at an old revision, `0001` unless the test says otherwise, with that revision's rows."""
    revision, rows = getattr(request, "param", "0001"), True
    if isinstance(revision, tuple):
        revision, rows = revision[0], False
    name = f"old_{uuid.uuid4().hex[:12]}"
    url = postgres.create_database(name)
    ledger.upgrade(url, revision)
    if rows:
        fixture = LEDGERS / f"{revision}.sql"
        assert fixture.exists(), (
            f"The revision {revision} wants a fixture: write the rows of every table, as its code leaves them in the"
            f" middle of a run, into {fixture.relative_to(ROOT)}. Begin with a copy of the last one."
        )
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql(fixture.read_text().replace("%", "%%"))
        engine.dispose()
    yield url
    postgres.drop_database(name)


every_revision = pytest.mark.parametrize("ledger_url", REVISIONS, indirect=True)


def rows_of(engine: sa.Engine) -> Rows:
    """Every row of every table, in one order."""
    with engine.connect() as connection:
        tables = connection.scalars(
            sa.text("select tablename from pg_tables where schemaname = 'o2o' and tablename <> 'alembic_version'")
        ).all()
        found = {one: connection.scalars(sa.text(f"select to_jsonb(t) from o2o.{one} t")).all() for one in tables}
    return {table: sorted(rows, key=lambda row: json.dumps(row, sort_keys=True)) for table, rows in found.items()}


def without_what_came_later(after: Rows, before: Rows) -> Rows:
    """The later rows as the earlier revision would have seen them: its tables and columns alone."""
    kept = {}
    for table, rows in before.items():
        columns = rows[0].keys() if rows else ()
        kept[table] = [{name: row.get(name, "(gone)") for name in columns} for row in after.get(table, [])]
        kept[table].sort(key=lambda row: json.dumps(row, sort_keys=True))
    return kept


def version(engine: sa.Engine) -> str:
    with engine.connect() as connection:
        return str(connection.scalar(sa.text("select version_num from o2o.alembic_version")))


def form(engine: sa.Engine) -> tuple[list[Any], list[Any]]:
    """Columns and indexes, to tell one form of the ledger from another."""
    with engine.connect() as connection:
        columns = connection.execute(
            sa.text("""
                select table_name, column_name, data_type, is_nullable, column_default
                from information_schema.columns where table_schema = 'o2o' order by 1, 2
            """)
        ).all()
        indexes = connection.scalars(sa.text("select indexdef from pg_indexes where schemaname = 'o2o' order by 1"))
        return [tuple(row) for row in columns], list(indexes)


@every_revision
def test_an_upgrade_loses_no_row_and_no_value_and_a_second_one_changes_nothing(
    ledger_url: str, ledger_engine: sa.Engine
) -> None:
    """Each table had rows, and each has the same afterwards."""
    before = rows_of(ledger_engine)
    # a ledger with a key wants it from every run: tests/integration/test_privacy_people.py has one
    empty = [table for table, rows in before.items() if not rows and table != "privacy_key"]
    assert not empty, f"The fixture leaves empty: {empty}"
    ledger.upgrade(ledger_url)
    after = rows_of(ledger_engine)
    assert without_what_came_later(after, before) == before
    ledger.check_version(ledger_engine)
    ledger.upgrade(ledger_url)
    assert rows_of(ledger_engine) == after


@every_revision
def test_the_pipeline_goes_on_over_an_upgraded_ledger(ledger_url: str, pipeline: Pipeline) -> None:
    """The run that was under way ends; who was called is not called again, who was not is, and every row adds up."""
    ledger.upgrade(ledger_url)
    numbers = [*range(1, 11), 12, 20]
    pipeline.hire(*(person(n, bike_interest=n != 4) for n in numbers))
    pipeline.hire(person(11, work_email="nope"), person(13, language_code="tlh"))
    now = datetime.now(UTC)
    run = Run("run-3", "scheduled", Window(now - timedelta(days=3), now), contiguous=True)
    checking.check(pipeline.ledger, pipeline.config, run.run_id)
    building.build(pipeline.ledger, pipeline.config, run.run_id)
    fuse.weigh(pipeline.ledger, pipeline.config.settings.fuse, run.run_id)
    delivered = pipeline.post(run)
    assert (delivered.recovered, delivered.resent) == (1, 2)
    audit.load(pipeline.ledger)
    summary = audit.settle(pipeline.ledger, run.run_id)
    assert (summary.extracted, summary.registered, summary.quarantined) == (2, 1, 1)
    pipeline.run()
    pipeline.run()
    mails = Counter(employee for employee, _ in pipeline.mails())
    assert mails == dict.fromkeys(("E5", "E6", "E8", "E10", "E12", "E20"), 1)
    statuses = pipeline.statuses()
    assert statuses == {
        **dict.fromkeys(mails, "created"),
        **{"E1": "created", "E2": "existing", "E3": "rejected", "E4": "withdrawn", "E7": "held", "E9": "in_doubt"},
    }
    unaudited = """
        select count(*) from o2o.attempt t where closed_at is null
            or not exists (select from o2o.audit a where a.attempt_id = t.id and a.event = t.outcome)
    """
    assert pipeline.query(unaudited) == [(0,)]
    assert sorted(pipeline.query("select employee_id from o2o.quarantine")) == [("E11",), ("E13",)]


def upgrading(url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "o2o_registration", "upgrade"],
        env=os.environ | {"PYTHONPATH": str(ROOT / "include"), URL: url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def waiting(engine: sa.Engine) -> Counter[str]:
    """Upgrades that wait for a lock, by its kind."""
    with engine.connect() as connection:
        return Counter(
            connection.scalars(
                sa.text("""
                    select wait_event from pg_stat_activity
                    where datname = current_database() and application_name = 'o2o_registration'
                      and wait_event_type = 'Lock'
                """)
            )
        )


def test_an_upgrade_killed_in_the_middle_leaves_the_old_form_and_the_next_one_does_it(
    ledger_url: str, postgres: PostgresServer
) -> None:
    """Killed while a later migration waits for a lock, when earlier ones are done but not committed."""
    engine = sa.create_engine(ledger_url)
    before, old_form = rows_of(engine), form(engine)
    with engine.begin() as holding:
        holding.execute(sa.text("lock table o2o.audit in row exclusive mode"))
        process = upgrading(ledger_url)
        until(lambda: waiting(engine)["relation"])
        process.kill()
        process.communicate()
        assert (version(engine), form(engine), rows_of(engine)) == ("0001", old_form, before)
    ledger.upgrade(ledger_url)
    ledger.check_version(engine)
    assert without_what_came_later(rows_of(engine), before) == before
    engine.dispose()


def test_two_upgrades_at_once_do_it_once(ledger_url: str) -> None:
    """The second waits for the first, and finds nothing left to do."""
    engine = sa.create_engine(ledger_url)
    before = rows_of(engine)
    with engine.begin() as holding:
        holding.execute(sa.text("lock table o2o.audit in row exclusive mode"))
        both = [upgrading(ledger_url), upgrading(ledger_url)]
        until(lambda: waiting(engine) == {"relation": 1, "advisory": 1})
    ends = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    ledger.check_version(engine)
    assert without_what_came_later(rows_of(engine), before) == before
    engine.dispose()


def test_a_task_of_the_old_version_says_that_the_ledger_is_newer(ledger_url: str, ledger_engine: sa.Engine) -> None:
    """And so do its commands, without a traceback: a release after this one is one revision on."""
    ledger.upgrade(ledger_url)
    with ledger_engine.begin() as connection:
        connection.execute(sa.text("update o2o.alembic_version set version_num = '9999'"))
    words = f"revision 9999, which is newer than this code \\({REVISIONS[-1]}\\).*downgrade {REVISIONS[-1]}'"
    for refused in (
        lambda: ledger.check_version(ledger_engine),
        lambda: ledger.upgrade(ledger_url),
        lambda: ledger.downgrade(ledger_url, "0001"),
    ):
        with pytest.raises(LedgerError, match=words):
            refused()


def test_a_task_of_the_new_version_says_that_the_ledger_is_older(ledger_engine: sa.Engine) -> None:
    """With the command that mends it."""
    words = f"revision 0001, this code needs {REVISIONS[-1]}: run 'python -m o2o_registration upgrade'"
    with pytest.raises(LedgerError, match=words):
        ledger.check_version(ledger_engine)


@pytest.mark.parametrize("ledger_url", [(one, EMPTY) for one in REVISIONS[1:]], indirect=True)
def test_each_revision_can_be_undone_while_nobody_uses_what_it_brought(
    ledger_url: str, ledger_engine: sa.Engine, postgres: PostgresServer
) -> None:
    """To the very form of the one before, and forward again."""
    now = version(ledger_engine)
    new_form, older = form(ledger_engine), REVISIONS[REVISIONS.index(now) - 1]
    fresh = postgres.create_database(f"fresh_{uuid.uuid4().hex[:12]}")
    ledger.upgrade(fresh, older)
    ledger.downgrade(ledger_url, older)
    engine = ledger.connect(fresh)
    assert (version(ledger_engine), form(ledger_engine)) == (older, form(engine))
    engine.dispose()
    postgres.drop_database(str(sa.make_url(fresh).database))
    ledger.upgrade(ledger_url, now)
    assert form(ledger_engine) == new_form


@pytest.mark.parametrize("ledger_url", ["0003"], indirect=True)
def test_a_downgrade_is_refused_where_it_would_lose_data_and_done_where_not(
    ledger_url: str, ledger_engine: sa.Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """0003 brought indexes, 0002 columns that are in use: the message names them with their rows."""
    before = rows_of(ledger_engine)
    monkeypatch.setenv(URL, ledger_url)
    assert main(["downgrade", "0001"]) == 2
    refused = capsys.readouterr().err
    assert "from revision 0003 to 0001 would lose data: " in refused
    assert (
        "column registration.passed_fuse: 8 rows; column run_summary.acted_at: 1 rows. Nothing was changed" in refused
    )
    assert (version(ledger_engine), rows_of(ledger_engine)) == ("0003", before)
    assert main(["downgrade", "0002"]) == 0
    assert capsys.readouterr().out == "The ledger is at revision 0002.\n"
    assert (version(ledger_engine), rows_of(ledger_engine)) == ("0002", before)


@pytest.mark.parametrize("ledger_url", [REVISIONS[-1]], indirect=True)
def test_a_ledger_does_not_change_its_owner_by_going_back_and_forward(
    ledger_url: str, ledger_engine: sa.Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """0006 brought the owner, and makes a ledger from before the default client's: one that is acme's would be lost."""
    monkeypatch.setenv(URL, ledger_url)
    assert main(["owner", "acme"]) == 0
    before = rows_of(ledger_engine)
    capsys.readouterr()
    assert main(["downgrade", "0005"]) == 2
    assert "would lose data: table owner (client is acme): 1 rows. Nothing was changed" in capsys.readouterr().err
    assert (version(ledger_engine), rows_of(ledger_engine)) == (REVISIONS[-1], before)
    assert main(["owner", "default"]) == 0
    assert main(["downgrade", "0005"]) == 0
    ledger.upgrade(ledger_url)
    with ledger_engine.connect() as connection:
        assert ledger.owner(connection) == "default"


@pytest.mark.parametrize(
    ("revision", "words"),
    [
        ("8888", "There is no revision '8888'; there are 0001, 0002, "),
        ("head", "There is no revision 'head'"),
        ("0002", "The ledger is at revision 0001, older than 0002: use 'upgrade'."),
    ],
)
def test_a_downgrade_to_what_is_not_there_is_refused_in_words(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], revision: str, words: str
) -> None:
    """No traceback for a slip of the pen."""
    monkeypatch.setenv(URL, ledger_url)
    assert main(["downgrade", revision]) == 2
    assert words in capsys.readouterr().err
