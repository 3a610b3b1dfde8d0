"""The files in the folder of secrets: made once, completed when some are missing, readable where they are read."""

from __future__ import annotations

import json
import os
import ssl
from pathlib import Path

import pytest
import yaml
from demo.make_secrets import CA, CONNECTIONS, make

from tests.compose.composefile import PROJECT, raw

SIMULATOR = ("simulator_key", "simulator_certificate", CA)


def test_secrets_are_made_once_and_differ(tmp_path: Path) -> None:
    made = make(tmp_path / "one")
    make(tmp_path / "two")
    assert set(raw()["secrets"]) <= set(made)
    assert make(tmp_path / "one") == []
    for name in made:
        assert (tmp_path / "one" / name).read_text() != (tmp_path / "two" / name).read_text()


def test_the_folder_is_closed_and_each_service_can_read_its_file(tmp_path: Path) -> None:
    """Services run as users of their own; whose folder it is may put another password or token into a file."""
    before = os.umask(0o077)
    try:
        made = make(tmp_path / "secrets")
    finally:
        os.umask(before)
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "secrets" / CONNECTIONS).parent.stat().st_mode & 0o777 == 0o755
    assert {(tmp_path / "secrets" / name).stat().st_mode & 0o777 for name in made} == {0o644}


@pytest.mark.parametrize("there", range(len(SIMULATOR)))
def test_what_an_interruption_left_out_is_made_the_next_time(tmp_path: Path, there: int) -> None:
    """Key, certificate and the pipeline's copy fit each other, wherever it stopped; half a file is overwritten."""
    make(tmp_path)
    kept = {name: (tmp_path / name).read_text() for name in SIMULATOR[:there]}
    for name in SIMULATOR[there:]:
        (tmp_path / name).unlink()
    half = (tmp_path / SIMULATOR[there]).with_name(f".{Path(SIMULATOR[there]).name}.draft")
    half.write_text("half")
    assert make(tmp_path) == list(SIMULATOR[there:])
    assert {name: (tmp_path / name).read_text() for name in kept} == kept
    assert not half.exists()
    key, certificate, ca = (tmp_path / name for name in SIMULATOR)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    assert ca.read_text().strip() == certificate.read_text().strip()
    assert len(ssl.create_default_context(cafile=ca).get_ca_certs()) == 1


@pytest.mark.parametrize("example", [False, True])
def test_containers_reach_their_own_databases_without_tls_because_the_connection_says_so(
    tmp_path: Path, example: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of docker-compose.yaml have no certificates; one elsewhere must have one."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    from airflow.sdk import Connection
    from o2o_dialects import address
    from o2o_registration.tls import of_postgresql

    make(tmp_path / "secrets")
    file = PROJECT / "docs/deploy/connections.example.yaml" if example else tmp_path / "secrets" / CONNECTIONS
    text = file.read_text()
    assert "&id" not in text
    found = yaml.safe_load(text)
    inside = set(raw()["services"])
    databases = {name: one for name, one in found.items() if one["conn_type"] == "postgres"}
    assert set(databases) == {"hr_warehouse", "o2o_ledger"}
    for name, one in databases.items():
        extra = json.dumps(one.pop("extra", {}))
        told = of_postgresql(address(Connection(conn_id=name, **one, extra=extra)).url, name)
        assert told.get("sslmode") == (None if one["host"] in inside else "verify-full")
