"""docs/warehouses.md: its connections are what SQLAlchemy's dialects take, its SQL has a window, its rights suffice."""

from __future__ import annotations

import base64
import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from demo.postgres import PostgresServer
from o2o_registration.config import load_config, require_window
from o2o_registration.errors import ConfigurationError

MANUAL = (Path(__file__).resolve().parents[2] / "docs" / "warehouses.md").read_text()
SECTIONS = {title: text for title, text in re.findall(r"^## (.*)\n((?:(?!^## ).*\n)*)", MANUAL, re.M) if "```" in text}
READER = "o2o_reader:password@hr.example.com"
ADDRESSES = {
    "PostgreSQL": f"postgresql+psycopg://{READER}:5432/hr?sslrootcert=%2Fetc%2Fssl%2Fhr-ca.pem",
    "DuckDB": "duckdb:////srv/hr/hr.duckdb?access_mode=read_only",
    "SQLite": "sqlite:///file%3A/srv/hr/hr.sqlite?mode=ro&uri=true",
    "MySQL and MariaDB": f"mysql+pymysql://{READER}:3306/hr?ssl_ca=%2Fetc%2Fssl%2Fhr-ca.pem",
    "Redshift": "redshift+redshift_connector://o2o_reader:password@hr.abc123.eu-west-1.redshift.amazonaws.com:5439/hr",
    "SQL Server": f"mssql+pyodbc://{READER}:1433/hr?Encrypt=yes&driver=ODBC+Driver+18+for+SQL+Server",
    "Snowflake": "snowflake://O2O_READER@myorg-myaccount/PEOPLE",
    "BigQuery": "bigquery://my-project?credentials_path=%2Fetc%2Fo2o%2Fbigquery.json&location=EU",
}


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The connections' plugins, imported without an Airflow of anybody's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
        import o2o_connections
        import o2o_dialects
    return o2o_connections, o2o_dialects


@pytest.fixture
def address(plugins: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The environment variable's text -> the address."""
    connections, dialects = plugins

    def of(variable: str | dict[str, Any]) -> Any:
        text = variable if isinstance(variable, str) else json.dumps(variable)
        monkeypatch.setenv("AIRFLOW_CONN_HR_WAREHOUSE", text)
        return dialects.address(connections.get_connection("hr_warehouse"))

    return of


@pytest.fixture
def engine(plugins: Any, address: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    connections, _ = plugins

    def of(variable: str | dict[str, Any]) -> sa.Engine:
        address(variable)
        made: sa.Engine = connections.warehouse_engine(load_config().client)
        return made

    return of


def exports(title: str) -> list[str]:
    return re.findall(r"^export AIRFLOW_CONN_HR_WAREHOUSE='(.*)'$", SECTIONS[title], re.M)


def test_each_section_has_an_address_that_is_tested() -> None:
    """A new section fails here until it is added."""
    assert list(SECTIONS) == list(ADDRESSES)


@pytest.mark.parametrize("title", ADDRESSES)
def test_uri_and_json_mean_the_same_and_are_what_the_dialect_takes(title: str, address: Any) -> None:
    """Both forms of the manual."""
    uri, written = (address(variable) for variable in exports(title))
    assert uri == written
    assert uri.url.render_as_string(hide_password=False) == ADDRESSES[title]
    role = {"warehouse": "O2O_WH", "role": "O2O_READER", "private_key_file": "/etc/o2o/snowflake.p8"}
    assert uri.arguments == ({**role, "schema": "HR"} if title == "Snowflake" else {})


@pytest.mark.parametrize("title", ADDRESSES)
def test_the_sql_has_the_window_and_no_other_parameter(title: str) -> None:
    """As SQLAlchemy reads it; PostgreSQL's is the one that is shipped, Redshift's is PostgreSQL's."""
    where = re.findall(r"```sql\n(from .*?)```", SECTIONS[title], re.DOTALL)
    if title == "Redshift":
        assert where == []
        return
    require_window(where[0], title)
    assert set(sa.text(where[0]).compile().params) == {"since", "until"}
    if title == "PostgreSQL":
        assert load_config().extract_sql.endswith(where[0])


@pytest.mark.parametrize(
    ("module", "variable", "package"),
    [
        ("pymysql", exports("MySQL and MariaDB")[0], "pip install PyMySQL"),
        ("pyodbc", exports("SQL Server")[0], "pip install pyodbc"),
        ("pymssql", "mssql+pymssql://h/hr", "pip install pymssql"),
        ("duckdb_engine", None, "pip install duckdb-engine"),
        ("sqlalchemy_redshift", exports("Redshift")[0], "pip install sqlalchemy-redshift redshift-connector"),
        ("snowflake", exports("Snowflake")[0], "pip install snowflake-sqlalchemy"),
        ("sqlalchemy_bigquery", exports("BigQuery")[0], "pip install sqlalchemy-bigquery"),
        ("nobody", "nobody+nothing://h/hr", "install the package that brings this SQLAlchemy dialect"),
    ],
)
def test_a_missing_driver_is_named_with_its_package(
    module: str, variable: str | None, package: str, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the package is not installed, which some are not."""
    if variable is None:
        monkeypatch.setattr(sa.dialects.registry, "impls", {})
        monkeypatch.setitem(sys.modules, module, None)
        variable = exports("DuckDB")[0]
    elif importlib.util.find_spec(module):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError, match=f"'hr_warehouse'.*{package}") as caught:
        engine(variable)
    assert "password" not in str(caught.value)


def test_airflows_own_fields_become_the_drivers(address: Any) -> None:
    """Of the forms in Airflow's UI."""
    key = {"type": "service_account", "private_key": "secret"}
    google = address({"conn_type": "google_cloud_platform", "extra": {"keyfile_dict": key, "num_retries": 5}})
    assert json.loads(base64.b64decode(str(google.url.query["credentials_base64"]))) == key
    assert set(google.url.query) == {"credentials_base64"}
    snowflake = {"conn_type": "snowflake", "login": "u", "password": "phrase", "schema": "HR"}
    by_key = address({**snowflake, "extra": {"account": "a", "private_key_file": "/k", "keep_alive": True}})
    assert (by_key.url.password, by_key.arguments["private_key_file_pwd"]) == (None, "phrase")
    assert by_key.arguments["keep_alive"] is True
    by_password = address({**snowflake, "extra": {"account": "a"}})
    assert (by_password.url.password, by_password.arguments) == ("phrase", {"schema": "HR"})
    microsoft = {"driver": "ODBC Driver 18 for SQL Server", "Encrypt": "yes"}
    assert address({"conn_type": "mssql", "host": "h"}).url.query == microsoft
    named = address({"conn_type": "mssql", "host": "h", "extra": {"encrypt": "strict"}})
    assert named.url.query == {"driver": microsoft["driver"], "encrypt": "strict"}
    assert address("mssql+mssqlpython://h/hr").url.drivername == "mssql+mssqlpython"
    oracle = {"conn_type": "oracle", "host": "h", "extra": {"sqlalchemy_driver": "oracle+oracledb", "ssl": True}}
    assert address(oracle).url.render_as_string() == "oracle+oracledb://h?ssl=true"
    cloud = address({"conn_type": "duckdb", "host": "md:hr", "extra": {"access_mode": "automatic"}})
    assert cloud.url.render_as_string() == "duckdb:///md%3Ahr?access_mode=automatic"


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ({"conn_type": "mysql", "host": "h", "extra": {"ssl": {"ca": "/x"}}}, r"extra 'ssl'.*no plain value.*ssl_ca"),
        ({"conn_type": "mysql", "host": "h"}, r"people's data from h unencrypted: name the CA.*'ssl_ca'"),
        ({"conn_type": "mariadb", "host": "h"}, r"people's data from h unencrypted"),
        ({"conn_type": "teradata", "host": "h"}, r"driver is known for the type 'teradata'.*sqlalchemy_driver"),
        ({"conn_type": "duckdb"}, "names no file"),
        ({"conn_type": "postgres", "host": "h", "extra": "[1]"}, "no JSON object"),
    ],
)
def test_a_connection_that_does_not_fit_is_named_with_its_remedy(
    variable: dict[str, Any], words: str, address: Any
) -> None:
    """Before anything connects."""
    with pytest.raises(ConfigurationError, match=words) as caught:
        address(variable)
    assert "'hr_warehouse'" in str(caught.value)


@pytest.mark.integration
def test_postgresqls_rights_are_enough_and_no_more(ledger_url: str, postgres: PostgresServer) -> None:
    """The statements as they are written, in a database of a warehouse's form."""
    statements = re.findall(r"```sql\n(create .*?)```", SECTIONS["PostgreSQL"], re.DOTALL)[0]
    owner = sa.create_engine(ledger_url)
    with owner.begin() as connection:
        connection.execute(sa.text("create schema hr; create table hr.employee (changed_at timestamptz)"))
        connection.execute(sa.text(statements))
    reader = sa.create_engine(owner.url.set(username="o2o_reader", password="password"))
    try:
        with reader.connect() as connection:
            assert connection.scalar(sa.text("select count(*) from hr.employee")) == 0
        with pytest.raises(sa.exc.ProgrammingError, match="permission denied"), reader.begin() as connection:
            connection.execute(sa.text("delete from hr.employee"))
    finally:
        reader.dispose()
        with owner.begin() as connection:
            connection.execute(sa.text("drop owned by o2o_reader; drop role o2o_reader"))
        owner.dispose()
