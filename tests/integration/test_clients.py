"""Two employers at one partner: each with its own warehouse, ledger, plans, query and token, and nothing crosses."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from demo.postgres import PostgresServer
from o2o_registration import clients, ledger
from o2o_registration.__main__ import URL, main
from o2o_registration.clients import Client
from o2o_registration.config import config_dir, load_config
from o2o_registration.errors import ConfigurationError, WrongToken
from o2o_simulator import running_simulator

from tests.integration.conftest import Pipeline, person

HR_TABLE = """
    create schema hr;
    create table hr.employee (
        employee_id text, personnel_number text, first_name text, last_name text, work_email text,
        language_code text, contract_type text, company_code text, bike_interest boolean, changed_at timestamptz)
"""
FILE = """
settings:
  delivery: {{calls_per_second: 2000, read_seconds: 1, connect_seconds: 1, max_wait_seconds: 3}}
mapping:
  bike_plans: {{{company}: {plan}}}
"""
QUERY = """
query: |
  select employee_id, personnel_number, first_name, last_name, work_email, language_code, contract_type,
         company_code as {column}, bike_interest, changed_at
  from hr.employee
  where company_code = '{company}' and changed_at >= :since and changed_at < :until
"""
Serve = Callable[..., Pipeline]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = Path(shutil.copytree(config_dir(), tmp_path / "config"))
    (made / "clients").mkdir(exist_ok=True)
    monkeypatch.setenv("O2O_CONFIG_DIR", str(made))
    return made


@pytest.fixture
def serve(folder: Path, postgres: PostgresServer, ledger_template: str) -> Iterator[Serve]:
    """Makes a client: its file, and servers that know its token and its plan alone."""
    with ExitStack() as stack:

        def database(*options: str) -> sa.Engine:
            name = f"client_{uuid.uuid4().hex[:12]}"
            admin = sa.create_engine(postgres.url(), isolation_level="AUTOCOMMIT")
            with admin.connect() as connection:
                connection.execute(sa.text(" ".join((f"create database {name}", *options))))
            admin.dispose()
            engine = sa.create_engine(postgres.url(name))
            stack.callback(postgres.drop_database, name)
            stack.callback(engine.dispose)
            return engine

        def made(name: str, more: str = "", company: str = "ACME", warehouse: sa.Engine | None = None) -> Pipeline:
            file = FILE.format(company=company, plan=plan(name)) + more
            (folder / "clients" / f"{name}.yaml").write_text(file)
            if warehouse is None:
                warehouse = database()
                with warehouse.begin() as connection:
                    connection.exec_driver_sql(HR_TABLE)
            simulator = stack.enter_context(running_simulator(token(name), bike_plans=(plan(name),)))
            own = database("template", ledger_template)
            return Pipeline(warehouse, own, load_config(client=name), simulator, token(name))

        yield made


def plan(name: str) -> str:
    return f"{name.upper()}-2026"


def token(name: str) -> str:
    return f"token-of-{name}"


def run(pipeline: Pipeline) -> Any:
    """As a DAG's first task does: the ledger's owner before anything else."""
    ledger.check_owner(pipeline.ledger, pipeline.config.client, take=True)
    return pipeline.run()


def sent(pipeline: Pipeline) -> list[tuple[str, str]]:
    """(employee id, bike plan) of everybody in the ledger."""
    sql = "select employee_id, payload -> 'user' ->> 'BikePlanCode' from o2o.registration order by 1"
    return [tuple(row) for row in pipeline.query(sql)]


def audited(pipeline: Pipeline) -> list[tuple[str, str]]:
    return [tuple(row) for row in pipeline.query("select employee_id, event from o2o.audit order by id")]


def test_two_clients_register_their_own_people_once_with_their_own_plan_and_token(serve: Serve) -> None:
    """The same ids and addresses in both: what one ledger knows is no news to the other, and nobody is mailed twice."""
    acme, globex = serve("acme"), serve("globex")
    acme.hire(person(1), person(2))
    globex.hire(person(2), person(3))
    for one in (acme, globex, acme, globex):
        run(one)
    welcome = "Welcome and set password"
    assert sorted(acme.mails()) == [("E1", welcome), ("E2", welcome)]
    assert sorted(globex.mails()) == [("E2", welcome), ("E3", welcome)]
    assert sent(acme) == [("E1", "ACME-2026"), ("E2", "ACME-2026")]
    assert sent(globex) == [("E2", "GLOBEX-2026"), ("E3", "GLOBEX-2026")]
    assert sorted(audited(globex)) == [("E2", "created"), ("E3", "created")]
    assert acme.config.settings.delivery.calls_per_second == 2000
    with acme.ledger.connect() as one, globex.ledger.connect() as other:
        assert (ledger.owner(one), ledger.owner(other)) == ("acme", "globex")


def test_what_becomes_of_one_clients_person_leaves_the_other_clients_alone(serve: Serve) -> None:
    """Refused and set aside at one employer, the same id is registered at the other."""
    acme, globex = serve("acme"), serve("globex")
    acme.simulator.add_fault("status", status=422, next=1, body='{"message": "no"}')
    acme.hire(person(1), person(2, work_email="nope"))
    globex.hire(person(1), person(2))
    run(acme)
    run(globex)
    assert acme.statuses() == {"E1": "rejected"}
    assert acme.query("select employee_id from o2o.quarantine") == [("E2",)]
    assert globex.statuses() == {"E1": "created", "E2": "created"}
    assert globex.query("select employee_id from o2o.quarantine") == []


def test_clients_in_one_warehouse_read_their_own_people_by_their_own_query(serve: Serve) -> None:
    """Also by another column's name than the shared mapping has."""
    other = "  columns: {company: employer}\n" + QUERY.format(column="employer", company="17")
    acme = serve("acme", other, "'17'")
    globex = serve("globex", QUERY.format(column="company_code", company="18"), "'18'", acme.warehouse)
    acme.hire(person(1, company_code="17"), person(2, company_code="18"), person(3, company_code="19"))
    assert run(acme).extracted == run(globex).extracted == 1
    assert (sent(acme), sent(globex)) == ([("E1", "ACME-2026")], [("E2", "GLOBEX-2026")])


def test_without_a_query_of_its_own_a_client_gets_nobody_elses_people_for_want_of_a_plan(serve: Serve) -> None:
    """In a shared warehouse it reads the other employer's rows: each is set aside, nobody is called."""
    acme = serve("acme")
    globex = serve("globex", company="GLOBEX", warehouse=acme.warehouse)
    acme.hire(person(1), person(2))
    assert (run(globex).quarantined, globex.mails()) == (2, [])
    codes = globex.query("select distinct jsonb_path_query(reasons, '$[*].code') #>> '{}' from o2o.quarantine")
    assert codes == [("company_unknown",)]
    assert run(acme).created == 2


def test_another_clients_token_stops_the_run_and_registers_nobody(serve: Serve) -> None:
    """o2o knows whose token it is; all stay pending until the connection is mended."""
    acme = serve("acme")
    acme.hire(person(1))
    acme.token = token("globex")
    with pytest.raises(WrongToken):
        run(acme)
    assert (acme.statuses(), acme.mails()) == ({"E1": "pending"}, [])
    acme.token = token("acme")
    assert run(acme).created == 1


def test_another_clients_ledger_is_refused_before_anything_is_read_or_called(serve: Serve) -> None:
    """A slip in a connection must not mix two employers' people: ledger, connection and remedy are named."""
    acme, globex = serve("acme"), serve("globex")
    acme.hire(person(1))
    globex.hire(person(2))
    run(acme)
    before = audited(acme)
    slip = replace(
        globex, ledger=acme.ledger, config=replace(globex.config, client=Client("globex", ledger="o2o_oops"))
    )
    words = (
        r"connection 'o2o_oops' belongs to the client 'acme', not to 'globex': nothing was read, and nobody was"
        r" called\..*python -m o2o_registration owner globex"
    )
    for who in (slip, replace(slip, config=replace(slip.config, client=Client(ledger="o2o_oops")))):
        with pytest.raises(ConfigurationError, match=words.replace("globex", who.config.client.name)):
            run(who)
    assert globex.simulator.calls == []
    assert (audited(acme), sent(acme)) == (before, [("E1", "ACME-2026")])
    assert run(globex).created == 1


def test_a_ledger_that_is_nobodys_becomes_that_of_the_client_who_runs_first_and_looking_takes_nothing(
    serve: Serve,
) -> None:
    """The page looks; a run takes."""
    acme, globex = serve("acme"), serve("globex")
    ledger.check_owner(acme.ledger, globex.config.client)
    with acme.ledger.connect() as connection:
        assert ledger.owner(connection) is None
    assert run(acme).calls == 0
    with pytest.raises(ConfigurationError, match="belongs to the client 'acme'"):
        ledger.check_owner(acme.ledger, globex.config.client)


@pytest.fixture
def owner(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """`python -m o2o_registration owner` over a client's ledger: exit code and words."""

    def command(pipeline: Pipeline, *name: str) -> tuple[int, str]:
        monkeypatch.setenv(URL, pipeline.ledger.url.render_as_string(hide_password=False))
        code = main(["owner", *name])
        said = capsys.readouterr()
        return code, (said.out or said.err).strip()

    return command


def test_the_one_employers_ledger_is_handed_over_to_its_client_and_nobody_is_mailed_again(
    serve: Serve, owner: Callable[..., tuple[int, str]]
) -> None:
    """From one employer to several: who was registered stays so, who waited is sent, and the old DAG is locked out."""
    acme = serve("acme", "connections: {ledger: o2o_ledger}\n")
    before = replace(acme, config=replace(acme.config, client=Client()))
    assert owner(acme) == (0, "nobody's yet: the first run makes it its client's")
    before.hire(person(1))
    assert run(before).created == 1
    before.hire(person(2))
    before.token = "expired"
    with pytest.raises(WrongToken):
        run(before)
    with pytest.raises(ConfigurationError, match=r"'o2o_ledger' belongs to the client 'default', not to 'acme'"):
        run(acme)
    assert owner(acme) == (0, "default")
    assert owner(acme, "acme") == (0, "acme")
    # a run that has an id again counts as a repetition
    acme.runs = before.runs
    assert run(acme).created == 1
    assert run(acme).calls == 0
    with pytest.raises(ConfigurationError, match=r"belongs to the client 'acme', not to 'default'"):
        run(before)
    assert [employee for employee, _ in acme.mails()] == ["E1", "E2"]


@pytest.mark.parametrize("name", ["Acme", "acme corp", "", "../acme", "a" * 61])
def test_a_name_that_no_client_can_have_owns_nothing(
    serve: Serve, owner: Callable[..., tuple[int, str]], name: str
) -> None:
    """A slip of the pen would lock everybody out."""
    acme = serve("acme")
    run(acme)
    code, words = owner(acme, name)
    assert (code, words) == (2, f"'{name}' owns nothing: {clients.NAMES}.")
    assert owner(acme) == (0, "acme")
