"""The demo's command line: what each command says and does, and its exit code."""

from __future__ import annotations

import json
import socket

import pytest
import sqlalchemy as sa
from demo import commands
from demo.__main__ import main
from demo.console import Reporter
from demo.layout import HOST, HR_WAREHOUSE, Layout, Ports, free_port
from demo.postgres import PostgresServer
from demo.processes import StopSignal
from demo.state import StackState
from demo.warehouse import Warehouse

from tests.demo.conftest import Demo

integration = pytest.mark.integration


def call(layout: Layout, *arguments: str) -> int:
    return main(["--run-dir", str(layout.run_dir), *arguments])


@pytest.mark.parametrize(
    ("option", "title", "variable"),
    [
        ("airflow", "Airflow", "AIRFLOW_PORT"),
        ("pg", "PostgreSQL", "PG_PORT"),
        ("simulator", "the o2o simulator", "SIMULATOR_PORT"),
    ],
)
def test_a_taken_port_is_named_with_its_variable_and_another_and_nothing_runs(
    layout: Layout, demo: Demo, option: str, title: str, variable: str
) -> None:
    """Before anything is started, so that there is nothing to clear away."""
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        ports = {"airflow": 0, "pg": 0, "simulator": 0, option: port}
        done = demo("run", *(f"--{name}-port={number}" for name, number in ports.items()))
    assert done.returncode == 2
    assert f"Port {port}, meant for {title}, is taken" in done.stderr
    assert f"make run {variable}={port + 1}" in done.stderr
    assert "Traceback" not in done.stderr
    assert call(layout, "status") == commands.NOT_RUNNING
    assert not layout.postgres.exists()
    assert not layout.state_file.exists()


def test_one_port_for_two_parts_is_refused(demo: Demo) -> None:
    """The second one names its variable."""
    port = free_port()
    done = demo("run", f"--airflow-port={port}", f"--pg-port={port}", "--simulator-port=0")
    assert done.returncode == 2
    assert f"PG_PORT={port} is also the port of another part" in done.stderr


def test_a_free_port_is_given_once_and_not_one_that_is_taken() -> None:
    """Its server may start seconds later: until then it must not be anybody else's."""
    with socket.create_server((HOST, free_port() + 1)) as taken:
        found = [free_port() for _ in range(20)]
        assert taken.getsockname()[1] not in found
    assert len(set(found)) == 20


@pytest.mark.parametrize("arguments", [["people", "--count", "0"], ["people", "--count", "x"], ["people", "--count=²"]])
def test_a_count_of_people_is_a_number_from_one(
    layout: Layout, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Said in words, with the usual exit code of a wrong call."""
    with pytest.raises(SystemExit) as caught:
        call(layout, *arguments)
    assert caught.value.code == 2
    assert "give one from 1 to 1000000" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["run", "--pg-port", "65536"], ["run", "--pg-port", "http"]])
def test_a_port_is_a_port_number(layout: Layout, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Refused before anything starts."""
    with pytest.raises(SystemExit):
        call(layout, *arguments)
    assert "a port is a number from 0 to 65535" in capsys.readouterr().err


def test_status_tells_by_its_exit_code_whether_something_runs(
    layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    """3 for nothing, however the directory came to be."""
    assert call(layout, "status") == commands.NOT_RUNNING
    layout.run_dir.mkdir()
    layout.lock_file.touch()
    assert call(layout, "status") == commands.NOT_RUNNING
    assert "`make run` starts it" in capsys.readouterr().out


def test_status_of_a_running_stack_names_its_addresses(
    layout: Layout, running: StackState, capsys: pytest.CaptureFixture[str]
) -> None:
    """And not its passwords."""
    assert call(layout, "status") == 0
    out = capsys.readouterr().out
    assert f":{running.ports.airflow}" in out
    assert f"PostgreSQL on port {running.ports.postgres}" in out


def test_a_damaged_state_file_is_named(layout: Layout, running: StackState, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody guesses which processes it meant."""
    for damage in ("{", "[]", '{"supervisor_pid": 1}'):
        layout.state_file.write_text(damage)
        assert call(layout, "status") == 1
        assert f"{layout.state_file} is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["people", "mend"])
def test_without_a_stack_there_is_no_warehouse_to_change(
    layout: Layout, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The way out is in the message."""
    assert call(layout, command) == 1
    assert "Nothing is running. `make run` starts it." in capsys.readouterr().err


def test_stop_and_clean_without_a_stack_are_no_errors(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever wants it gone has what they want."""
    assert call(layout, "stop") == 0
    assert call(layout, "clean") == 0
    assert capsys.readouterr().out.splitlines() == ["Nothing is running.", "Nothing to delete."]


def test_clean_refuses_while_a_stack_runs(
    layout: Layout, running: StackState, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its data would be gone from under it."""
    assert call(layout, "clean") == 1
    assert "`make stop` first" in capsys.readouterr().err
    assert layout.state_file.exists()


def test_clean_deletes_all_of_a_stopped_stack(layout: Layout) -> None:
    """Data, logs, passwords."""
    layout.logs.mkdir(parents=True)
    layout.secrets_file.write_text("{")
    assert call(layout, "clean") == 0
    assert not layout.run_dir.exists()


@pytest.fixture
def warehouse(postgres: PostgresServer, layout: Layout, running: StackState) -> Warehouse:
    """The demo's HR warehouse with its staff, behind what looks like a running stack."""
    ports = Ports(running.ports.airflow, postgres.port, running.ports.simulator)
    StackState(running.supervisor_pid, ports, []).write(layout.state_file)
    layout.secrets_file.write_text(json.dumps({"postgres_password": postgres.password}))
    postgres.drop_database(HR_WAREHOUSE)
    made = Warehouse(postgres.create_database(HR_WAREHOUSE))
    made.create()
    made.fill()
    return made


def rows(postgres: PostgresServer, where: str = "true") -> int:
    engine = sa.create_engine(postgres.url(HR_WAREHOUSE), poolclass=sa.NullPool)
    with engine.connect() as connection:
        return int(connection.scalar(sa.text(f"select count(*) from hr.employee where {where}")) or 0)


@integration
@pytest.mark.usefixtures("warehouse")
def test_people_adds_as_many_interested_people_as_asked(
    postgres: PostgresServer, layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    """New ones each time, and it says how many of them have a defect."""
    before, interested = rows(postgres), rows(postgres, "bike_interest")
    assert call(layout, "people", "--count", "7") == 0
    assert call(layout, "people", "--count", "30") == 0
    assert rows(postgres) == before + 37
    assert rows(postgres, "bike_interest") == interested + 37
    out = capsys.readouterr().out
    assert "Added 7 interested people to HR" in out
    assert "Added 30 interested people to HR; 3 of the rows have a defect" in out
    assert "Airflow does not answer yet" in out


@integration
def test_mend_corrects_each_defect_once_and_leaves_what_somebody_changed(
    warehouse: Warehouse, postgres: PostgresServer, layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mended row changed now, so that the next run reads it; the second time there is nothing to do."""
    defects = len(warehouse.add(40).defects)
    bad = "bike_interest and (work_email is null or work_email not like '%@%' or last_name is null)"
    engine = sa.create_engine(postgres.url(HR_WAREHOUSE), poolclass=sa.NullPool)
    with engine.begin() as connection:
        by_hand = "update hr.employee set first_name = 'Somebody' where employee_id = (select min(employee_id)"
        connection.execute(sa.text(f"{by_hand} from hr.employee where last_name is null and bike_interest)"))
    assert rows(postgres, bad) > 1
    assert call(layout, "mend") == 0
    assert rows(postgres, bad) == 1
    assert rows(postgres, "first_name = 'Somebody' and last_name is null") == 1
    assert rows(postgres, "changed_at > now() - interval '1 minute' and bike_interest") >= defects
    capsys.readouterr()
    assert call(layout, "mend") == 0
    assert "Nothing to mend" in capsys.readouterr().out


@integration
@pytest.mark.usefixtures("warehouse")
def test_a_warehouse_that_does_not_answer_yet_says_so(
    postgres: PostgresServer, layout: Layout, running: StackState, capsys: pytest.CaptureFixture[str]
) -> None:
    """Between the start of the stack and that of its PostgreSQL."""
    running.write(layout.state_file)
    assert call(layout, "people") == 1
    assert "PostgreSQL does not answer yet" in capsys.readouterr().err


def test_a_second_run_says_where_the_first_one_is(
    layout: Layout, running: StackState, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No error: what was asked for is there."""
    monkeypatch.setattr(StopSignal, "install", lambda _: None)
    assert commands.run(layout, Ports(0, 0, 0), Reporter()) == 0
    assert f"It runs already: http://{HOST}:{running.ports.airflow}" in capsys.readouterr().out
