"""`python -m o2o_ledgers`: the commands of the ledger where only Airflow knows its address, as in a container."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from demo.postgres import PostgresServer
from o2o_registration import ledger
from o2o_registration.__main__ import URL
from o2o_registration.config import config_dir
from o2o_registration.privacy.pseudonyms import KEY

from tests.integration.conftest import Pipeline, person

Ledgers = Callable[..., int]


@pytest.fixture
def ledgers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledgers:
    """The command, without an Airflow of anybody's own."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    # the command sets them, for its own process alone
    monkeypatch.setenv(URL, "")
    monkeypatch.setenv(KEY, "")
    import o2o_ledgers

    return lambda *arguments: o2o_ledgers.main(list(arguments))


@pytest.fixture
def held(pipeline: Pipeline, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """E1 and E2 wait for a decision, in the ledger that the Airflow connection names."""
    monkeypatch.setenv("AIRFLOW_CONN_O2O_LEDGER", ledger_url)
    pipeline.settings("fuse", max_people=1)
    pipeline.hire(person(1), person(2))
    pipeline.run()
    assert set(pipeline.statuses().values()) == {"held"}
    return pipeline


def test_a_decision_is_carried_out_and_the_audit_has_a_person(held: Pipeline, ledgers: Ledgers) -> None:
    """A container's user is nobody, so the command asks who decides."""
    with pytest.raises(SystemExit):
        ledgers("approve", "E1", "--why", "announced")
    assert set(held.statuses().values()) == {"held"}
    assert ledgers("approve", "E1", "--why", "announced", "--who", "anna") == 0
    assert held.statuses() == {"E1": "pending", "E2": "held"}
    assert held.query("select employee_id, actor from o2o.audit where event = 'approved'") == [("E1", "anna")]


def test_people_are_listed_and_exported_with_the_key_of_airflows_connection(
    held: Pipeline,
    ledgers: Ledgers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ledgers("held") == 0
    assert [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()] == ["E1", "E2"]
    monkeypatch.setenv("AIRFLOW_CONN_O2O_PRIVACY", json.dumps({"conn_type": "generic", "password": "0f" * 32}))
    assert ledgers("export", "E1", "--out", str(tmp_path / "E1.json"), "--who", "anna") == 0
    assert json.loads((tmp_path / "E1.json").read_text())["people"][0]["employee_id"] == "E1"


def test_one_of_several_ledgers_is_named(
    ledgers: Ledgers,
    postgres: PostgresServer,
    ledger_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """All are upgraded at once; one that is away is named, and the others are none the worse."""
    folder = Path(shutil.copytree(config_dir(), tmp_path / "config"))
    (folder / "clients").mkdir(exist_ok=True)
    for name in ("acme", "globex"):
        (folder / "clients" / f"{name}.yaml").write_text("mapping: {bike_plans: {ACME: ACME-2026}}\n")
    monkeypatch.setenv("O2O_CONFIG_DIR", str(folder))
    monkeypatch.setenv("AIRFLOW_CONN_O2O_LEDGER_ACME", "postgresql://nobody@127.0.0.1:1/nothing")
    monkeypatch.setenv("AIRFLOW_CONN_O2O_LEDGER_GLOBEX", postgres.create_database("globex"))
    try:
        assert ledgers() == 2
        said = capsys.readouterr()
        assert "o2o_ledger_acme: PostgreSQL failed" in said.err
        assert (
            said.out == f"The ledger of the connection 'o2o_ledger_globex' is at revision {ledger.revisions()[-1]}.\n"
        )
        assert ledgers("held") == 2
        assert "--client with one of acme, globex" in capsys.readouterr().err
        assert ledgers("--client", "globex", "held") == 0
        assert capsys.readouterr().err == "0 people held\n"
    finally:
        postgres.drop_database("globex")


def test_a_missing_connection_is_named(ledgers: Ledgers, capsys: pytest.CaptureFixture[str]) -> None:
    assert ledgers("held") == 2
    assert "The Airflow connection 'o2o_ledger' cannot be read" in capsys.readouterr().err


def test_it_does_not_touch_a_ledger_that_the_environment_names(held: Pipeline, ledgers: Ledgers) -> None:
    """Airflow's connection counts, whatever O2O_LEDGER_URL says."""
    os.environ[URL] = "postgresql://nobody@127.0.0.1:1/nothing"
    assert ledgers("held") == 0
    assert sa.make_url(os.environ[URL]).database == held.ledger.url.database
