"""Each command and each SQL statement that README and the manuals tell somebody to type is typed here.

One that no test knows how to run fails: a new one needs a setting, or the name of the test that runs it.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from demo.postgres import PostgresServer, client_programs
from o2o_registration import ledger
from o2o_registration.__main__ import URL
from o2o_registration.privacy.pseudonyms import KEY

from tests.docs import test_own_warehouse
from tests.docs.manual import ROOT, Typed, environment, typed

COMMANDS = typed("README.md", "docs/runbook.md", "docs/reliability.md", "docs/privacy.md", "docs/page.md")
MANUALS = ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{file.name}" for file in (ROOT / "docs").glob("*.md"))]
MAKE = [one for one in typed(*MANUALS) if one.words[0] == "make"]
LEDGERS = ROOT / "tests" / "integration" / "ledgers"
REVISIONS = ledger.revisions()
PROGRAM = "python -m o2o_registration "
NAMED = ["E17", "E23", "4711", "4712"]
"""Whom the examples name."""
ADDRESS = "e17@example.com"


@dataclass(frozen=True)
class Setting:
    """Where the people stand before and after, what is said, and what is typed first."""

    before: str
    after: str | None
    says: str
    first: str = ""


SETTINGS = {
    "held": Setting("held", "held", r"^E17\t"),
    "in-doubt": Setting("in_doubt", "in_doubt", r"^E17\t"),
    "approve": Setting("held", "pending", r"^approve held: {count} people \(.*\)$"),
    "confirm": Setting("in_doubt", "existing", r"^confirm in doubt: {count} people \(.*\)$"),
    "release": Setting("in_doubt", "pending", r"^release in doubt: {count} people \(.*\)$"),
    "retry": Setting("rejected", "pending", r"^send refused again: {count} people \(.*\)$"),
    "hold": Setting("pending", "held", r"^hold pending: {count} people \(.*\)$"),
    "erase": Setting("created", None, "^erased 1 people$"),
    "lift": Setting("created", None, "^lifted 1 erasures", first=f"{PROGRAM}erase E17 --why asked"),
    "export": Setting("created", "created", r"^E17: \d+ rows$"),
    "server": Setting("created", "created", "^gateway.example.com$"),
}
AIRFLOW = {
    "db migrate": "Database migration done",
    "dags trigger": "manual__",
    "dags pause": "^paused: 1$",
    "dags unpause": "^paused: 0$",
    "dags list-import-errors": "No data found",
    "plugins": "o2o_page",
    "backfill create": "Created backfill Dag run",
}
OWN_WAREHOUSE = [line for block in test_own_warehouse.blocks() for line in block.splitlines()]
"""Typed by tests/docs/test_own_warehouse.py, in their order and with servers."""
MADE_ELSEWHERE = {
    "run": ("tests/e2e/test_real_airflow.py", 'terminal.starts("run")'),
    "people": ("tests/e2e/test_real_airflow.py", 'terminal.types("people", "N=20")'),
    "mend": ("tests/e2e/test_real_airflow.py", 'terminal.types("mend")'),
    "setup": ("tests/docs/test_own_warehouse.py", "make setup"),
    "faults": ("tests/faults/test_faults.py", "play(scenario, SHORT"),
    "bench": ("tests/integration/test_cost.py", "from benchmarks import size"),
}
"""Target -> the test that runs what it runs, and words by which one sees it."""


def family(one: Typed) -> str:
    """Who runs it. Fails for what nobody runs."""
    if one.text in OWN_WAREHOUSE and not one.text.startswith(("airflow dags unpause", PROGRAM)):
        return "own warehouse"
    if one.is_sql:
        return "sql"
    if one.text.startswith((f"{PROGRAM}upgrade", f"{PROGRAM}downgrade")):
        return "revision"
    if PROGRAM in one.text:
        return "program"
    first = one.words[0]
    if one.text.startswith("docker compose exec"):
        return "compose"
    known = {"make", "airflow", "export", "pg_dump", "pg_restore", "python"}
    assert first in known, f"{one.place} says '{one.text}', which no test knows how to run: give it a setting here."
    return first


def is_mentioned(one: Typed) -> bool:
    """A command without what it needs, in a sentence."""
    return one.inline and len(one.words) == 3


def of(name: str) -> list[Any]:
    return [pytest.param(one, id=f"{one.place}: {one.text[:60]}") for one in COMMANDS if family(one) == name]


def types(text: str, folder: Path, **values: str) -> str:
    """What somebody types, in a shell. Returns what it said."""
    done = subprocess.run(
        ["bash", "-ec", text],
        cwd=folder,
        env=environment(**values),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout[-3000:]}"
    return done.stdout


def plain(url: str | sa.URL) -> str:
    """As the manuals write it."""
    return sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def rows(postgres: PostgresServer, ledger_template: str) -> Iterator[sa.Engine]:
    """A ledger in the middle of a run, with rows in every table."""
    admin = sa.create_engine(postgres.url(), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"create database of_the_manuals template {ledger_template}"))
    admin.dispose()
    engine = ledger.connect(postgres.url("of_the_manuals"))
    with engine.begin() as connection:
        connection.exec_driver_sql((LEDGERS / f"{REVISIONS[-1]}.sql").read_text().replace("%", "%%"))
    yield engine
    engine.dispose()
    postgres.drop_database("of_the_manuals")


def register(engine: sa.Engine, status: str) -> None:
    """Those whom the examples name, all of one status, in a ledger that has been used."""
    with engine.begin() as connection:
        connection.execute(sa.text("insert into o2o.owner (id, client, server) values (1, 'default', 'api.o2o.be')"))
        for employee in NAMED:
            email = f"{employee.lower()}@example.com"
            payload = json.dumps({"user": {"Email": email}})
            connection.execute(
                sa.text("""
                    insert into o2o.registration (employee_id, status, email_key, payload, fingerprint, run_id)
                    values (:employee, :status, :email, :payload, :employee, 'run-1')
                """),
                {"employee": employee, "status": status, "email": email, "payload": payload},
            )


@pytest.mark.integration
@pytest.mark.parametrize("one", of("sql"))
def test_the_sql_fits_the_ledger(one: Typed, rows: sa.Engine) -> None:
    """A table or column that is renamed fails here."""
    with rows.connect() as connection:
        connection.execute(sa.text(one.text.replace("pg_terminate_backend(...)", "pg_terminate_backend(0)")))


@pytest.mark.integration
@pytest.mark.parametrize("one", of("program"))
def test_the_program_does_what_the_manual_wants_of_it(
    one: Typed, ledger_engine: sa.Engine, ledger_url: str, tmp_path: Path
) -> None:
    """On people who stand where the manual's reader finds them."""
    words = shlex.split(one.text.split(PROGRAM)[1])
    setting = SETTINGS[words[0]]
    register(ledger_engine, setting.before)
    values = {URL: plain(ledger_url), KEY: "k" * 64, "ADDRESS": ADDRESS}
    if setting.first:
        types(setting.first, tmp_path, **values)
    ids = [word for word in words if word in NAMED] or (["E17"] if "--email" in words else NAMED)
    said = types(one.text, tmp_path, **values)
    assert re.search(setting.says.format(count=len(ids)), said, re.MULTILINE), said
    with ledger_engine.connect() as connection:
        statuses = dict(connection.execute(sa.text("select employee_id, status from o2o.registration")).all())
    assert {employee: statuses.get(employee) for employee in ids} == dict.fromkeys(ids, setting.after)
    others = {employee: status for employee, status in statuses.items() if employee in NAMED and employee not in ids}
    assert set(others.values()) <= {setting.before}
    if "--out" in words:
        assert ADDRESS in (tmp_path / words[words.index("--out") + 1]).read_text()


@pytest.mark.integration
def test_the_ledger_goes_back_and_forward(rows: sa.Engine, tmp_path: Path) -> None:
    """The revision that the runbook goes back to is the last but one, and rows in every table are no obstacle."""
    forward, back = sorted((one.text for one in COMMANDS if family(one) == "revision"), key=len)
    assert forward == f"{PROGRAM}upgrade"
    assert back == f"{PROGRAM}downgrade {REVISIONS[-2]}", "mend the runbook: there is a newer revision"
    assert types(back, tmp_path, **{URL: plain(rows.url)}) == f"The ledger is at revision {REVISIONS[-2]}.\n"
    assert types(forward, tmp_path, **{URL: plain(rows.url)}) == "The ledger is up to date.\n"
    ledger.check_version(rows)


@pytest.mark.integration
def test_a_dump_can_be_restored(rows: sa.Engine, postgres: PostgresServer, tmp_path: Path) -> None:
    """Into an empty database, by the runbook's two commands."""
    (dump,), (restore,) = ([one.text for one in COMMANDS if one.words[0] == name] for name in ("pg_dump", "pg_restore"))
    binaries = client_programs()
    types(f"{binaries}/{dump}", tmp_path, **{URL: plain(rows.url)})
    empty = postgres.create_database("restored_by_the_runbook")
    try:
        types(f"{binaries}/{restore}", tmp_path, **{URL: plain(empty)})
        engine = ledger.connect(empty)
        ledger.check_version(engine)
        counts = "select (select count(*) from o2o.registration), (select count(*) from o2o.audit)"
        with engine.connect() as restored, rows.connect() as original:
            assert restored.execute(sa.text(counts)).one() == original.execute(sa.text(counts)).one()
        engine.dispose()
    finally:
        postgres.drop_database("restored_by_the_runbook")


@pytest.fixture(scope="module")
def airflow_said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    """Each Airflow command's exit code and words, typed one after the other into an Airflow without servers."""
    commands = [one for one in COMMANDS if family(one) == "airflow"]
    lines = [f"{one.text} --help" if is_mentioned(one) else one.text for one in commands]
    home = tmp_path_factory.mktemp("airflow")
    values = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "COLUMNS": "400",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.docs.typist"],
        input=json.dumps(["airflow db migrate", "airflow dags reserialize", *lines]),
        env=environment(**values),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=True,
    )
    said = re.findall(r"^>>> (.*)\n((?:.*\n)*?)<<< (-?\d+)$", done.stdout, re.MULTILINE)
    return dict(zip((one.text for one in commands), ((int(code), words) for _, words, code in said[2:]), strict=True))


# one process, or the Airflow of the fixture would be made twice
@pytest.mark.xdist_group("airflow of the runbook")
@pytest.mark.integration
@pytest.mark.parametrize("one", of("airflow"))
def test_airflow_does_what_the_manual_wants_of_it(one: Typed, airflow_said: dict[str, tuple[int, str]]) -> None:
    """The DAGs are known to it, nothing runs them; what is only mentioned has a help page."""
    code, said = airflow_said[one.text]
    assert code == 0, said[-3000:]
    if is_mentioned(one):
        assert said.startswith("Usage: " + one.text), said
        return
    wanted = [words for name, words in AIRFLOW.items() if one.text.startswith(f"airflow {name}")]
    assert wanted, f"{one.place} says '{one.text}': say in AIRFLOW what it prints."
    assert re.search(wanted[0], said, re.MULTILINE), said[-3000:]


@pytest.mark.parametrize("one", of("python"))
def test_what_python_is_to_do_it_does(one: Typed, tmp_path: Path) -> None:
    """A key of 64 hexadecimal digits; a program that is only mentioned has a help page."""
    if is_mentioned(one):
        assert types(f"{one.text} --help", tmp_path, AIRFLOW_HOME=str(tmp_path)).startswith(f"usage: {one.text}")
        return
    assert re.fullmatch(r"[0-9a-f]{64}\n", types(one.text, tmp_path))


@pytest.mark.parametrize("one", of("export"))
def test_the_variables_that_are_to_be_set_are_read(one: Typed, tmp_path: Path) -> None:
    """By the command line, of which they are said to be."""
    names = {pair.partition("=")[0] for pair in shlex.split(one.text)[1:]}
    assert names <= {URL, KEY}
    types(one.text, tmp_path)


@pytest.mark.parametrize("one", MAKE, ids=lambda one: one.text)
def test_make_knows_the_target_and_a_test_does_what_it_does(one: Typed) -> None:
    """What README and runbook name starts servers or takes minutes, and has a test of its own."""
    assert types(f"{one.text} --dry-run", ROOT)
    target = one.words[1]
    if target == "help":
        assert "make run" in types("make help", ROOT)
    if target == "help" or one.place not in ("README.md", "docs/runbook.md"):
        return
    assert target in MADE_ELSEWHERE, f"{one.place} says '{one.text}': name the test that runs it in MADE_ELSEWHERE."
    file, words = MADE_ELSEWHERE[target]
    assert words in (ROOT / file).read_text()
