"""An Airflow connection as SQLAlchemy takes it: URL, driver arguments, and the package that the database needs."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from o2o_registration.errors import ConfigurationError

if TYPE_CHECKING:
    import sqlalchemy as sa
    from airflow.sdk import Connection

# Airflow's connection type -> SQLAlchemy's driver name; others are named by the extra `sqlalchemy_driver`
_DRIVERS = {
    "postgres": "postgresql+psycopg",
    "redshift": "redshift+redshift_connector",
    "duckdb": "duckdb",
    "sqlite": "sqlite",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
    "mssql": "mssql+pyodbc",
    "snowflake": "snowflake",
    "bigquery": "bigquery",
    "gcpbigquery": "bigquery",
    "google_cloud_platform": "bigquery",
}
_PACKAGES = {
    "redshift+redshift_connector": "sqlalchemy-redshift redshift-connector",
    "duckdb": "duckdb-engine",
    "mysql+pymysql": "PyMySQL",
    "mariadb+pymysql": "PyMySQL",
    "mssql+pyodbc": "pyodbc",
    "mssql+pymssql": "pymssql",
    "mssql+mssqlpython": "mssql-python",
    "snowflake": "snowflake-sqlalchemy",
    "bigquery": "sqlalchemy-bigquery",
}


class Address(NamedTuple):
    """Where a database is, and what its driver wants to be told beside."""

    url: sa.URL
    arguments: dict[str, Any]


def address(connection: Connection) -> Address:
    """The connection as SQLAlchemy wants it. Raises ConfigurationError for one that does not fit."""
    extra = extra_of(connection)
    kind = connection.conn_type or ""
    # Airflow takes SQLAlchemy's own names, as in mssql+pymssql://, for types
    driver = extra.pop("sqlalchemy_driver", None) or (kind if "+" in kind else _DRIVERS.get(kind))
    if driver is None:
        raise ConfigurationError(
            f"No SQLAlchemy driver is known for the type '{kind}' of the connection"
            f" '{connection.conn_id}': name one in its extra, as in"
            ' {"sqlalchemy_driver": "oracle+oracledb"}.'
        )
    shape = _SHAPES.get(driver) or _SHAPES.get(driver.partition("+")[0], _server)
    return shape(driver, connection, extra)


def engine(connection: Connection) -> sa.Engine:
    """Raises ConfigurationError where the driver is missing or cannot make sense of the connection."""
    import sqlalchemy as sa
    from o2o_registration import tls

    url, arguments = address(connection)
    where = f"The connection '{connection.conn_id}' ({url.drivername})"
    try:
        arguments = arguments | tls.of_postgresql(url, connection.conn_id)
        # an exception's text is logged by Airflow, and parameters are people
        return sa.create_engine(url, connect_args=arguments, hide_parameters=True)
    except (ImportError, sa.exc.NoSuchModuleError) as error:
        package = _PACKAGES.get(url.drivername) or _PACKAGES.get(url.get_backend_name())
        remedy = f"pip install {package}" if package else "install the package that brings this SQLAlchemy dialect"
        raise ConfigurationError(
            f"{where} needs a driver that is not there ({error}): {remedy}, on every machine that runs tasks."
            " docs/warehouses.md has more."
        ) from None
    except sa.exc.ArgumentError as error:
        raise ConfigurationError(f"{where} does not fit its driver: {error}") from None
    except ConfigurationError:
        raise
    except Exception as error:  # noqa: BLE001 - a driver's own complaint may quote a secret
        raise ConfigurationError(
            f"{where} does not suit its driver ({type(error).__name__}): compare it with docs/warehouses.md."
        ) from None


def extra_of(connection: Connection) -> dict[str, Any]:
    try:
        extra = json.loads(connection.extra or "{}")
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        raise ConfigurationError(f"The extra of the connection '{connection.conn_id}' is no JSON object: mend it.")
    return extra


def _query(connection: Connection, extra: dict[str, Any]) -> dict[str, str]:
    for name, value in extra.items():
        if isinstance(value, dict | list):
            raise ConfigurationError(
                f"The extra '{name}' of the connection '{connection.conn_id}' is no plain value: write what the driver"
                " takes in a URL, such as ssl_ca in the place of ssl."
            )
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in extra.items()
        if value is not None
    }


def _server(driver: str, connection: Connection, extra: dict[str, Any]) -> Address:
    import sqlalchemy as sa

    url = sa.URL.create(
        driver,
        username=connection.login or None,
        password=connection.password or None,
        host=connection.host or None,
        port=connection.port,
        database=connection.schema or None,
        query=_query(connection, extra),
    )
    return Address(url, {})


def _mysql(driver: str, connection: Connection, extra: dict[str, Any]) -> Address:
    """Its drivers speak without TLS unless told to."""
    from o2o_registration import tls

    found = _server(driver, connection, extra)
    remedy = "name the CA of its certificate as 'ssl_ca' in the extra, or say 'ssl_disabled' if that is meant"
    tls.require(found.url, connection.conn_id, remedy)
    return found


def _odbc(driver: str, connection: Connection, extra: dict[str, Any]) -> Address:
    """Microsoft's drivers before the 18th speak without TLS unless told to."""
    named = next((extra.pop(name) for name in ("driver", "Driver") if name in extra), None)
    told = {} if any(name.lower() == "encrypt" for name in extra) else {"Encrypt": "yes"}
    return _server(driver, connection, {"driver": named or "ODBC Driver 18 for SQL Server", **told, **extra})


def _file(driver: str, connection: Connection, extra: dict[str, Any]) -> Address:
    """Opened to read alone: a wrong path is an error and no new file, and who loads the file is not locked out."""
    import sqlalchemy as sa

    path = connection.host or connection.schema
    if not path:
        raise ConfigurationError(f"The connection '{connection.conn_id}' names no file: put its path into the host.")
    if driver == "sqlite":
        query = {"mode": "ro", "uri": "true", **_query(connection, extra)}
        return Address(sa.URL.create(driver, database=f"file:{quote(path)}", query=query), {})
    query = {"access_mode": "read_only", **_query(connection, extra)}
    return Address(sa.URL.create(driver, database=path, query=query), {})


def _snowflake(driver: str, connection: Connection, extra: dict[str, Any]) -> Address:
    """Airflow's extras; Snowflake refuses paths of keys and the like in a URL."""
    import sqlalchemy as sa

    account = extra.pop("account", None) or connection.host or None
    database = extra.pop("database", None)
    if connection.schema:
        extra["schema"] = connection.schema
    key = "private_key_file" in extra
    if key and connection.password:
        extra["private_key_file_pwd"] = connection.password
    url = sa.URL.create(
        driver,
        username=connection.login or None,
        password=None if key else connection.password or None,
        host=account,
        database=database,
    )
    return Address(url, extra)


def _bigquery(driver: str, connection: Connection, extra: dict[str, Any]) -> Address:
    """Airflow's extras of a Google connection."""
    import sqlalchemy as sa

    project = extra.pop("project", None) or connection.host or None
    key = extra.pop("keyfile_dict", None)
    if key:
        text = key if isinstance(key, str) else json.dumps(key)
        extra["credentials_base64"] = base64.b64encode(text.encode()).decode()
    if path := extra.pop("key_path", None):
        extra["credentials_path"] = path
    for name in ("scope", "num_retries"):
        extra.pop(name, None)
    query = _query(connection, extra)
    return Address(sa.URL.create(driver, host=project, database=connection.schema or None, query=query), {})


_SHAPES: dict[str, Callable[[str, Connection, dict[str, Any]], Address]] = {
    "mssql+pyodbc": _odbc,
    "mysql": _mysql,
    "mariadb": _mysql,
    "sqlite": _file,
    "duckdb": _file,
    "snowflake": _snowflake,
    "bigquery": _bigquery,
}
