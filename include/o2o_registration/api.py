"""o2o's server as an Airflow connection names it: where it is, how it proves who it is, and our token.

A mistake here could send people's data to a stranger, so that nothing is guessed: what does not fit is refused.
"""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from o2o_registration.errors import ConfigurationError
from o2o_registration.tls import is_loopback

O2O_HOSTS = ("acc-api.o2o.be", "api.o2o.be")
"""o2o's acceptance and production."""
THIS_MACHINE = "localhost"
ALLOWED_HOSTS = "O2O_ALLOWED_HOSTS"
"""The environment's part of `api.allowed_hosts`, for what differs between installations of one configuration."""

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_HOST_AND_PORT = re.compile(r"(\[[^\]]*\]|[^:]*):([0-9]{1,5})")
_TOKEN = re.compile(r"[!-~]+")

# how other tools, and other Airflow connections, switch the verification of certificates on or off
_VERIFYING = frozenset({
    *("verify", "verifyssl", "sslverify", "verifytls", "tlsverify", "verifymode", "verifycert", "verifycerts"),
    *("verifycertificate", "verifycertificates", "verifypeer", "verifyhost", "verifyhostname", "checkhostname"),
    *("validatecert", "validatecerts", "validatecertificate", "rejectunauthorized", "ssl", "tls"),
})  # fmt: skip
_TRUSTING = frozenset({
    *("insecure", "allowinsecure", "insecureskipverify", "skipverify", "skiptlsverify", "tlsskipverify"),
    *("sslskipverify", "noverify", "noverifyssl", "nosslverify", "nocheckcertificate", "disablessl"),
    *("disableverification", "disablesslverification", "trustall", "allowselfsigned", "ignoressl"),
})  # fmt: skip
_YES, _NO = frozenset({"true", "1", "yes", "y", "on"}), frozenset({"false", "0", "no", "n", "off"})


@dataclass(frozen=True)
class Given:
    """The connection as somebody filled it in."""

    connection_id: str
    host: str = ""
    schema: str = ""
    port: int | None = None
    password: str = field(default="", repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Api:
    """Where `user.create` is, whose certificates count beside the usual ones, and the token."""

    base_url: str
    name: str
    """The host alone, one name for all of this machine's."""
    token: str = field(repr=False)
    ca_file: str | None = None
    on_loopback: bool = False


def read(given: Given, allowed_hosts: Collection[str] = ()) -> Api:
    """Raises ConfigurationError naming the connection and what to mend in it. Reads no file, calls nobody."""
    scheme, host, port = _address(given)
    on_loopback = is_loopback(host)
    if not (on_loopback or host in O2O_HOSTS or host in allowed_hosts):
        raise ConfigurationError(
            f"The connection '{given.connection_id}' would send people's data to {host}, which is neither o2o's"
            f" ({', '.join(O2O_HOSTS)}) nor listed in api.allowed_hosts (settings.yaml). Nobody was called. Mend the"
            " connection's host, or list it there if it may have the data."
        )
    if scheme != "https" and not on_loopback:
        raise ConfigurationError(
            f"The connection '{given.connection_id}' would send people's data to {host} unencrypted:"
            " set its schema to https."
        )
    _require_verification(given)
    shown = f"[{host}]" if ":" in host else host
    return Api(
        f"{scheme}://{shown}" + (f":{port}" if port else ""),
        server_name(host),
        _token(given),
        _ca_file(given),
        on_loopback,
    )


def hosts_of_the_environment() -> list[str]:
    """The names in O2O_ALLOWED_HOSTS, with commas between them. Raises ConfigurationError."""
    found = filter(None, (one.strip() for one in os.environ.get(ALLOWED_HOSTS, "").split(",")))
    try:
        return [host_name(one) for one in found]
    except ValueError as error:
        raise ConfigurationError(f"A host in the environment variable {ALLOWED_HOSTS} {error}.") from None


def host_name(text: str) -> str:
    """A host's name or address as we compare it. Raises ValueError, in words that do not repeat what was typed."""
    if "@" in text:
        raise ValueError("holds a login (there is an '@' in it); write the host's name alone")
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if odd := re.search(r"[^A-Za-z0-9.:-]", bare):
        raise ValueError(f"has {odd[0]!a} in it; write the host's name alone, without scheme, path or wildcard")
    with suppress(ValueError):
        return str(ipaddress.ip_address(bare))
    name = bare.lower()
    if name.endswith("."):
        raise ValueError("ends in a dot; write it without")
    # a name that ends in a number is an address in a spelling that not everybody reads alike
    if len(name) > 253 or not _NAME.fullmatch(name) or name.rpartition(".")[2].isdigit():
        raise ValueError("is no host's name; write it alone, as in acc-api.o2o.be")
    return name


def server_name(text: str) -> str:
    """By what name a ledger remembers a server; this machine's addresses are all one. Raises ConfigurationError."""
    try:
        host = host_name(text)
    except ValueError as error:
        raise ConfigurationError(f"The server's name {error}.") from None
    return THIS_MACHINE if is_loopback(host) else host


def trusted(api: Api, connection_id: str) -> ssl.SSLContext:
    """Verifies certificates and host names by the usual issuers and the company's. Raises ConfigurationError."""
    context = ssl.create_default_context()
    if api.ca_file is not None:
        if problem := _problem_with(api.ca_file):
            raise ConfigurationError(
                f"The connection '{connection_id}' names the ca_file {api.ca_file}, which {problem}. It must be a PEM"
                " file with the certificates of your company's CA, on each machine that runs tasks. Nobody was called."
            )
        context.load_verify_locations(cafile=api.ca_file)
    return context


def _problem_with(ca_file: str) -> str | None:
    # by itself, for beside the usual certificates one would not see that there is none in it
    alone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        alone.load_verify_locations(cafile=ca_file)
    except ssl.SSLError:
        return "holds no certificates, or broken ones"
    except (OSError, ValueError) as error:
        return f"cannot be read ({getattr(error, 'strerror', None) or type(error).__name__})"
    return None if alone.cert_store_stats()["x509"] else "holds no certificates"


def _address(given: Given) -> tuple[str, str, int | None]:
    """Scheme, host and port, of which the host's field may hold all three."""
    own_scheme, separator, rest = given.host.rpartition("://")
    scheme = (own_scheme if separator else given.schema or "https").lower()
    text = rest.removesuffix("/")
    if not text:
        raise ConfigurationError(
            f"The connection '{given.connection_id}' has no host: o2o's are {' and '.join(O2O_HOSTS)}."
        )
    if scheme not in ("http", "https"):
        raise ConfigurationError(f"The schema of the connection '{given.connection_id}' must be https.")
    port = given.port or None
    if match := _HOST_AND_PORT.fullmatch(text):
        text, own_port = match[1], int(match[2])
        if port not in (None, own_port):
            raise ConfigurationError(
                f"The connection '{given.connection_id}' has two ports, {own_port} in its host and {port}: keep one."
            )
        port = own_port
    if port is not None and not 0 < port < 65536:
        raise ConfigurationError(f"The port of the connection '{given.connection_id}' is none: {port}.")
    try:
        return scheme, host_name(text), port
    except ValueError as error:
        raise ConfigurationError(f"The host of the connection '{given.connection_id}' {error}.") from None


def _token(given: Given) -> str:
    where = f"The connection '{given.connection_id}'"
    if not given.password:
        raise ConfigurationError(f"{where} has no password: put o2o's bearer token there.")
    if _TOKEN.fullmatch(given.password):
        return given.password
    if not given.password.isascii():
        what = "a character that is not ASCII"
    elif any(character.isspace() for character in given.password):
        what = "a space or line break"
    else:
        what = "a control character"
    raise ConfigurationError(
        f"{where} has {what} in its password, which no bearer token has: copy o2o's token anew, without 'Bearer',"
        " quotes or line breaks."
    )


def _ca_file(given: Given) -> str | None:
    ca_file = given.extra.get("ca_file")
    if ca_file is None:
        return None
    if not isinstance(ca_file, str) or not Path(ca_file).is_absolute():
        raise ConfigurationError(
            f"The ca_file in the extra of the connection '{given.connection_id}' must be a file's whole path, as in"
            ' {"ca_file": "/etc/ssl/company.pem"}.'
        )
    return ca_file


def _require_verification(given: Given) -> None:
    """What would be ignored must not look as if it worked; and nobody may believe that it did."""
    for key, value in given.extra.items():
        # as Airflow's forms once stored it: extra__http__verify
        name = re.sub(r"[^a-z]", "", re.sub(r"^extra__[^_]*__", "", key.lower()))
        harmless = _YES if name in _VERIFYING else _NO if name in _TRUSTING else None
        if harmless is None or value is None or str(value).strip().lower() in harmless:
            continue
        raise ConfigurationError(
            f"The extra of the connection '{given.connection_id}' sets '{key}': certificates are always verified, and"
            " nothing switches that off. For a certificate by your company's own CA name the CA's PEM file as"
            " 'ca_file'; then remove this key."
        )
