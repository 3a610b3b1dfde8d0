"""From a clone to registered people, by the README alone: its own commands, over a warehouse it has never seen."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from demo.layout import free_port
from demo.postgres import PostgresServer
from demo.web import HttpError, call
from o2o_simulator import running_simulator

ROOT = Path(__file__).resolve().parents[2]
DAG = "o2o_register_interested_employees"
TOKEN = "token-of-the-readme"
pytestmark = [pytest.mark.e2e, pytest.mark.integration]

STAFF = """
    create schema personal;
    create table personal.mitarbeiter (
        nummer integer, personalnummer text, vorname text, nachname text, mail text, sprache text,
        vertrag text, firma integer, will_rad text, geaendert timestamp);
    insert into personal.mitarbeiter
    select n, 'P-' || n, 'Jana', 'Müller', 'jana' || n || '@firma.example',
           case n % 2 when 0 then 'Französisch' else 'Englisch' end, 'Angestellte', 17,
           case when n <= 8 then 'Y' else 'N' end, now() at time zone 'UTC' - interval '1 hour'
    from generate_series(1, 10) as n;
    insert into personal.mitarbeiter
    values (11, 'P-11', 'Jana', 'Müller', 'jana11@firma.example', 'Klingonisch', 'Angestellte', 17, 'Y',
            now() at time zone 'UTC' - interval '1 hour');
"""
SQL = """
select nummer, personalnummer, vorname, nachname, mail, sprache, vertrag, firma, will_rad, geaendert
from personal.mitarbeiter
where geaendert >= cast(:since as timestamptz) at time zone 'UTC'
  and geaendert < cast(:until as timestamptz) at time zone 'UTC'
"""
MAPPING = """
columns:
  employee_id: nummer
  personnel_number: personalnummer
  first_name: vorname
  last_name: nachname
  email: mail
  language: sprache
  contract_type: vertrag
  company: firma
  interested: will_rad
  changed_at: geaendert
languages: {Französisch: FR, Englisch: EN}
contract_types: {Angestellte: clerk}
bike_plans: {"17": FIRMA-2026}
"""


def blocks() -> list[str]:
    """The commands of the README's section on one's own warehouse, block by block."""
    section = (ROOT / "README.md").read_text().split("## Use it with your own warehouse")[1].split("\n## ")[0]
    return [
        re.sub(r"^ {3}", "", block, flags=re.MULTILINE) for block in re.findall(r"```\n(.*?)```", section, re.DOTALL)
    ]


class Reader:
    """Somebody who types what the README says, in the folder of the clone, with a home of their own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "O2O", "PYTH"))
        }
        # what a proxy in the environment would swallow
        self.environment = {**inherited, "HOME": str(home), "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1"}

    def types(self, commands: str) -> str:
        """Commands that end. Returns what they printed."""
        done = subprocess.run(
            ["bash", "-ec", commands],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout[-4000:]}"
        return done.stdout

    def leaves_running(self, commands: str) -> subprocess.Popen[bytes]:
        """Commands that stay, in a process group of their own."""
        with (self.home / "airflow.log").open("wb") as log:
            return subprocess.Popen(
                ["bash", "-ec", f"{commands}\nwait"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


def end(process: subprocess.Popen[bytes]) -> None:
    """The whole group, politely at first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            process.poll()
            try:
                os.killpg(process.pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.2)


def until(condition: Callable[[], Any], what: str, log: Path) -> None:
    deadline = time.monotonic() + 150
    while not condition():
        assert time.monotonic() < deadline, f"{what}\n{log.read_text(errors='replace')[-4000:]}"
        time.sleep(0.5)


def with_values(env: str, values: dict[str, str]) -> str:
    """The README's env.sh with the reader's own values in the place of its examples."""
    for name, value in values.items():
        env, found = re.subn(rf"(?<={name}=)'[^']*'", f"'{value}'".replace("\\", r"\\"), env)
        assert found == 1, f"the README no longer sets {name} to an example in quotes"
    return env


def test_a_reader_gets_from_the_clone_to_registered_people_by_the_readme_alone(
    reader: Reader, postgres: PostgresServer
) -> None:
    """Install, three files, one environment, the ledger, a dry run, Airflow, unpause: everybody is mailed once."""
    install, env, first, start, unpause = blocks()
    hr, ledger = postgres.create_database("own_hr"), postgres.create_database("own_ledger")
    warehouse = sa.create_engine(hr)
    with warehouse.begin() as connection:
        connection.exec_driver_sql(STAFF.replace("%", "%%"))
    # the tests run in what `make setup` makes, so that it finds all there
    assert install.splitlines()[0] == "make setup"
    reader.types(install)
    (reader.home / "o2o" / "interested_employees.sql").write_text(SQL)
    (reader.home / "o2o" / "mapping.yaml").write_text(MAPPING)
    with running_simulator(TOKEN, bike_plans=("FIRMA-2026",)) as simulator:
        host, port = simulator.url.removeprefix("http://").split(":")
        api = {"conn_type": "http", "schema": "http", "host": host, "port": int(port), "password": TOKEN}
        plain = [sa.make_url(url).set(drivername="postgresql").render_as_string(False) for url in (ledger, hr)]
        values = dict(zip(("O2O_LEDGER_URL", "AIRFLOW_CONN_HR_WAREHOUSE"), plain, strict=True))
        airflow = f"http://127.0.0.1:{(ui := free_port())}"
        ours = f"export AIRFLOW__API__PORT={ui} AIRFLOW__API__BASE_URL={airflow}\n"
        env = with_values(env, {**values, "AIRFLOW_CONN_O2O_API": json.dumps(api)})
        (reader.home / "o2o" / "env.sh").write_text(env + ours)

        dry = reader.types(first)
        assert "Employee ids (the first 8): 1, 2, 3, 4, 5, 6, 7, 8" in dry
        assert simulator.calls == []

        log = reader.home / "airflow.log"
        running = reader.leaves_running(". ~/o2o/env.sh\n" + start)
        try:
            until(lambda: healthy(airflow), "Airflow is not healthy", log)
            until(lambda: DAG in reader.types(". ~/o2o/env.sh; airflow dags list"), "the UI shows no DAG", log)
            reader.types(". ~/o2o/env.sh\n" + unpause)
            until(lambda: settled(ledger), "no run was settled", log)
        finally:
            end(running)
        mails = Counter(mail.employee_id for mail in simulator.mailbox)
    assert mails == {str(n): 1 for n in range(1, 9)}
    engine = sa.create_engine(ledger)
    with engine.connect() as connection:
        assert connection.scalars(sa.text("select employee_id from o2o.quarantine")).all() == ["11"]
        assert connection.scalar(sa.text("select payload -> 'user' ->> 'Language' from o2o.registration")) in (
            "EN",
            "FR",
        )
    assert "0 people in doubt" in reader.types(". ~/o2o/env.sh; python -m o2o_registration in-doubt")
    for used in (engine, warehouse):
        used.dispose()
    shutil.rmtree(reader.home / "o2o")
    for name in ("own_hr", "own_ledger"):
        postgres.drop_database(name)


def healthy(airflow: str) -> bool:
    try:
        health = call("GET", f"{airflow}/api/v2/monitor/health")
    except HttpError:
        return False
    return all(
        (health.get(part) or {}).get("status") == "healthy" for part in ("scheduler", "dag_processor", "triggerer")
    )


def settled(ledger: str) -> bool:
    """A real run has come to its end."""
    engine = sa.create_engine(ledger, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return bool(
            connection.scalar(
                sa.text(
                    "select count(*) from o2o.run_summary where settled_at is not null and not dry_run and calls > 0"
                )
            )
        )
