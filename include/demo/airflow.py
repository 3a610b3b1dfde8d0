"""Airflow as child processes: its environment and its commands. All listen on loopback only."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import make_url

from demo.layout import (
    AIRFLOW_DATABASE,
    HOST,
    HR_WAREHOUSE,
    O2O_LEDGER,
    Layout,
    Ports,
    Secrets,
    write_private,
)
from demo.postgres import PostgresServer
from demo.processes import Command

ADMIN = "admin"
VIEWER = "viewer"


def base_url(ports: Ports) -> str:
    return f"http://{HOST}:{ports.airflow}"


def environment(layout: Layout, ports: Ports, secrets: Secrets, postgres: PostgresServer) -> dict[str, str]:
    """The whole environment of Airflow's processes. Settings of the user's other Airflows are left out."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    return (
        inherited
        | _settings(layout, ports, secrets, postgres.url(AIRFLOW_DATABASE))
        | _connections(ports, secrets, postgres)
        | {
            "AIRFLOW_HOME": str(layout.airflow_home),
            "PYTHONPATH": os.pathsep.join([str(layout.include), str(layout.plugins)]),
            "PYTHONUNBUFFERED": "1",
            "GX_ANALYTICS_ENABLED": "False",
            "O2O_DATA_DOCS_DIR": str(layout.data_docs),
            "NO_PROXY": _no_proxy(),
            "no_proxy": _no_proxy(),
        }
    )


def _settings(layout: Layout, ports: Ports, secrets: Secrets, database_url: str) -> dict[str, str]:
    settings = {
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": "8",
        "CORE__DAGS_FOLDER": str(layout.dags),
        "CORE__PLUGINS_FOLDER": str(layout.plugins),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__FERNET_KEY": secrets.fernet_key,
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin,{VIEWER}:viewer",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(_passwords_file(layout)),
        "DATABASE__SQL_ALCHEMY_CONN": database_url,
        # psycopg does both; Airflow would look for asyncpg, which is not installed.
        "DATABASE__SQL_ALCHEMY_CONN_ASYNC": database_url,
        "API__HOST": HOST,
        "API__PORT": str(ports.airflow),
        "API__BASE_URL": base_url(ports),
        "API__WORKERS": "1",
        "API__SECRET_KEY": secrets.api_secret,
        "API_AUTH__JWT_SECRET": secrets.jwt_secret,
        "SCHEDULER__ENABLE_HEALTH_CHECK": "False",
        # Tasks that a crash or Ctrl-C left behind are taken up within a minute, not after five.
        "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(layout.airflow_home / "bundles"),
        "LOGGING__BASE_LOG_FOLDER": str(layout.task_logs),
        "LOGGING__COLORED_CONSOLE_LOG": "False",
        "USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    return {f"AIRFLOW__{name}": value for name, value in settings.items()}


def _connections(ports: Ports, secrets: Secrets, postgres: PostgresServer) -> dict[str, str]:
    connections = {
        "HR_WAREHOUSE": _postgres_connection(postgres.url(HR_WAREHOUSE)),
        "O2O_LEDGER": _postgres_connection(postgres.url(O2O_LEDGER)),
        "O2O_API": {
            "conn_type": "http",
            "schema": "http",
            "host": HOST,
            "port": ports.simulator,
            "password": secrets.o2o_token,
        },
    }
    return {f"AIRFLOW_CONN_{name}": json.dumps(value) for name, value in connections.items()}


def _postgres_connection(url: str) -> Mapping[str, object]:
    parsed = make_url(url)
    return {
        "conn_type": "postgres",
        "host": parsed.host,
        "port": parsed.port,
        "login": parsed.username,
        "password": parsed.password,
        "schema": parsed.database,
    }


def _no_proxy() -> str:
    # Tasks reach Airflow's API by HTTP; a proxy in the user's environment would swallow these calls.
    known = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    return ",".join([*filter(None, [known]), HOST, "localhost"])


def _passwords_file(layout: Layout) -> Path:
    return layout.airflow_home / "passwords.json"


def write_passwords(layout: Layout, secrets: Secrets) -> None:
    passwords = {ADMIN: secrets.admin_password, VIEWER: secrets.viewer_password}
    write_private(_passwords_file(layout), json.dumps(passwords))


def migrate_command(layout: Layout, env: Mapping[str, str]) -> Command:
    return _command("db-migrate", layout, env, "db", "migrate")


def api_server_command(layout: Layout, env: Mapping[str, str]) -> Command:
    return _command("api-server", layout, env, "api-server")


def job_commands(layout: Layout, env: Mapping[str, str]) -> list[Command]:
    """What works in the background. Log servers would listen on all interfaces: off; the UI reads files."""
    return [
        _command("scheduler", layout, env, "scheduler", "--skip-serve-logs"),
        _command("dag-processor", layout, env, "dag-processor"),
        _command("triggerer", layout, env, "triggerer", "--skip-serve-logs"),
    ]


def _command(name: str, layout: Layout, env: Mapping[str, str], *arguments: str) -> Command:
    return Command(name, (sys.executable, "-m", "airflow", *arguments), layout.log(name), env, cwd=layout.run_dir)
