"""People's data crosses a network encrypted or not at all: which hosts need TLS, and what database drivers are told."""

from __future__ import annotations

import ipaddress
import os
import ssl
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa

from o2o_registration.errors import ConfigurationError

_LIBPQ = frozenset({"psycopg", "psycopg2"})
_LEFT_TO_THE_SERVER = frozenset({"allow", "prefer"})
_VERIFYING = frozenset({"verify-ca", "verify-full"})


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine for certain, without asking anybody."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def stays_here(url: sa.URL) -> bool:
    """Whether a database is on this machine: by loopback, or by a socket in a folder."""
    named = [url.host, *_all(url, "host"), *_all(url, "hostaddr")]
    hosts = [one for text in filter(None, named) for one in text.split(",")]
    return all(host.startswith("/") or is_loopback(host.strip("[]")) for host in hosts)


def of_postgresql(url: sa.URL, connection_id: str) -> dict[str, str]:
    """What libpq is told beside the URL: TLS with a verified certificate, unless its `sslmode` says otherwise.

    Nothing for other drivers. Raises ConfigurationError for an `sslmode` that lets the server choose.
    """
    driver = url.drivername.partition("+")[2] or "psycopg2"
    if url.get_backend_name() != "postgresql" or driver not in _LIBPQ or stays_here(url):
        return {}
    mode = next(iter(_all(url, "sslmode")), None)
    if mode in _LEFT_TO_THE_SERVER:
        raise ConfigurationError(
            f"The connection '{connection_id}' has sslmode={mode}: whether people's data is encrypted would be for the"
            " server to choose. Take it out, and it is, with a verified certificate; docs/security.md has other ways."
        )
    told = {} if mode else {"sslmode": "verify-full"}
    if mode in (None, *_VERIFYING) and not _names_issuers(url):
        # libpq would look for a file of its own only, and none of the machine's usual issuers
        told["sslrootcert"] = ssl.get_default_verify_paths().cafile or "system"
    return told


def require(url: sa.URL, connection_id: str, remedy: str) -> None:
    """Raise ConfigurationError for a database elsewhere whose URL does not mention TLS at all."""
    if stays_here(url) or any(name.lower().startswith(("ssl", "tls")) for name in url.query):
        return
    raise ConfigurationError(
        f"The connection '{connection_id}' would carry people's data from {url.host} unencrypted: {remedy}."
        " docs/warehouses.md has more."
    )


def hint(error: BaseException) -> str:
    """A sentence for errors that are about TLS; else nothing."""
    words = str(getattr(error, "orig", None) or error)
    if not any(sign in words for sign in ("SSL", "certificate")):
        return ""
    return (
        " A PostgreSQL on another machine is reached by TLS with a verified certificate: name your company's CA as"
        " 'sslrootcert' in the connection's extra, or say by 'sslmode' what you want instead (docs/security.md)."
    )


def _all(url: sa.URL, name: str) -> tuple[str, ...]:
    found = url.query.get(name, ())
    return (found,) if isinstance(found, str) else tuple(found)


def _names_issuers(url: sa.URL) -> bool:
    # the second and third are libpq's own, for those who have set up a machine by them
    return bool(
        _all(url, "sslrootcert")
        or os.environ.get("PGSSLROOTCERT")
        or (Path.home() / ".postgresql" / "root.crt").exists()
    )
