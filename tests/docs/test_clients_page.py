"""What docs/clients.md shows is what the code does: its files load, its commands exist, its error is the real one."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from o2o_registration import clients
from o2o_registration.__main__ import _parser
from o2o_registration.config import Config, config_dir, load_config
from o2o_registration.errors import ConfigurationError
from o2o_registration.overlay import _ClientFile, _Connections, _Mapping

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "clients.md").read_text()


def blocks(kind: str) -> list[str]:
    """The page's blocks of a kind, without the indentation of the list that they are in."""
    found = re.findall(r"^( *)```(\w*)\n(.*?)^ *```$", PAGE, re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, one, block in found if one == kind]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = Path(shutil.copytree(config_dir(), tmp_path / "config"))
    shutil.rmtree(made / "clients", ignore_errors=True)
    (made / "clients").mkdir()
    monkeypatch.setenv("O2O_CONFIG_DIR", str(made))
    return made


def loaded(folder: Path, content: str) -> Config:
    (folder / "clients" / "acme.yaml").write_text(content)
    clients.complain()
    return load_config(client="acme")


def test_the_example_is_a_clients_file_and_does_what_its_comments_say(folder: Path) -> None:
    """Every key of it changes something."""
    shared = load_config()
    own = loaded(folder, blocks("yaml")[0])
    assert own.mapping.bike_plans == {"acme": "ACME-2026", "0017": "ACME-DEPOT-2026"}
    assert own.mapping.columns.email == "private_email"
    assert own.mapping.languages == {**shared.mapping.languages, "nederlands": "NL"}
    assert own.mapping.contract_types == {**shared.mapping.contract_types, "intern": "clerk"}
    assert own.client.schedule == "*/10 * * * *"
    assert (own.client.warehouse, own.client.ledger) == ("hr_warehouse", "o2o_ledger_acme")
    assert own.settings.fuse == shared.settings.fuse.model_copy(update={"max_people": 200})
    assert own.settings.delivery == shared.settings.delivery.model_copy(update={"calls_per_second": 10})
    (notifier,) = own.settings.notify.on_failure
    assert notifier.arguments["to"] == "acme-desk@example.com"
    assert own.extract_sql != shared.extract_sql
    for column in own.mapping.columns.model_dump().values():
        assert column in own.extract_sql


def test_the_file_for_the_employer_who_was_there_before_names_the_connections_that_were(folder: Path) -> None:
    """So that its ledger goes on."""
    client = loaded(folder, blocks("yaml")[1]).client
    before = clients.Client()
    assert (client.warehouse, client.ledger, client.api, client.privacy) == (
        before.warehouse,
        before.ledger,
        before.api,
        before.privacy,
    )


def test_every_key_and_every_name_is_on_the_page(folder: Path) -> None:
    """As they are in the code."""
    rows = PAGE.split("| key |")[1].split("\n\n")[0]
    for key in (*(f"mapping.{name}" for name in _Mapping.model_fields), *_ClientFile.model_fields):
        assert f"`{key}`" in rows or key == "mapping", key
    for name in _Connections.model_fields:
        assert f"     {name}: " in PAGE
    client = loaded(folder, "mapping: {bike_plans: {ACME: A}}").client
    connections = (client.warehouse, client.ledger, client.api, client.privacy)
    for name in (*connections, client.dag_id, client.maintenance_dag_id):
        assert f"`{name}`" in PAGE
    for name in connections:
        assert f"export AIRFLOW_CONN_{name.upper()}=" in PAGE


def test_its_commands_exist() -> None:
    """With the arguments that are given."""
    commands = re.findall(r"python -m o2o_registration ([a-z][^`'\n]*)", PAGE)
    assert len(commands) > 5
    for command in commands:
        _parser().parse_args(shlex.split(command))


def test_the_import_error_is_shown_as_airflow_shows_it(folder: Path) -> None:
    """For the mistake that the page is about."""
    (shown,) = [block for block in blocks("") if block.startswith("No DAG is made")]
    (folder / "clients" / "initech.yaml").write_text("mapping: {bike_plan: {ACME: A}}")
    with pytest.raises(ConfigurationError) as caught:
        clients.complain()
    assert str(caught.value).replace(str(folder), "/home/o2o") == shown.strip()


@pytest.mark.parametrize(("content", "code"), [("mapping: {bike_plans: {A: x}}", 0), ("mapping: {}", 1)])
def test_the_files_can_be_checked_before_airflow_sees_them(folder: Path, content: str, code: int) -> None:
    """By the command of the page: nothing is said where all fit."""
    (command,) = [block.strip() for block in blocks("") if "o2o_broken_clients.py" in block and "python" in block]
    (folder / "clients" / "acme.yaml").write_text(content)
    done = subprocess.run(
        [sys.executable, *shlex.split(command)[1:]],
        env={**os.environ, "PYTHONPATH": str(ROOT / "include")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert (done.stdout + done.stderr == "") is (code == 0)
    assert code == 0 or done.stderr.strip().endswith("mapping.bike_plans: Field required; add it")
