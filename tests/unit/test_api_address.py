"""What a connection may say about o2o's server: whatever could send data to a stranger is refused, and said."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from o2o_registration.api import Api, Given, host_name, hosts_of_the_environment, read, trusted
from o2o_registration.config import config_dir, load_config
from o2o_registration.errors import ConfigurationError
from o2o_registration.settings import Settings

TOKEN = "abc.DEF-123_~+/="


def given(host: str, **values: Any) -> Given:
    return Given(**{"connection_id": "o2o_api", "host": host, "password": TOKEN, **values})


@pytest.mark.parametrize(
    ("connection", "url"),
    [
        (given("acc-api.o2o.be"), "https://acc-api.o2o.be"),
        (given("api.o2o.be", schema="https"), "https://api.o2o.be"),
        (given("API.o2o.BE", schema="HTTPS"), "https://api.o2o.be"),
        (given("https://api.o2o.be/"), "https://api.o2o.be"),
        (given("api.o2o.be", port=8443), "https://api.o2o.be:8443"),
        (given("https://api.o2o.be:8443"), "https://api.o2o.be:8443"),
        (given("api.o2o.be:8443", port=8443), "https://api.o2o.be:8443"),
        (given("127.0.0.1", schema="http", port=8090), "http://127.0.0.1:8090"),
        (given("http://localhost:8090"), "http://localhost:8090"),
        (given("::1", schema="http", port=1), "http://[::1]:1"),
        (given("http://[::1]:1"), "http://[::1]:1"),
        (given("127.0.0.1"), "https://127.0.0.1"),
    ],
)
def test_an_address_may_be_written_in_several_ways(connection: Given, url: str) -> None:
    """HTTPS unless it is this very machine."""
    assert read(connection).base_url == url


@pytest.mark.parametrize(
    "host",
    [
        *("api.o2o.eu", "api-o2o.be", "o2o.be", "api.o2o.be.example.com", "xapi.o2o.be"),
        *("api.02o.be", "o2o", "10.0.0.5", "0.0.0.0", "[fd00::1]", "localhost.example.com", "127.0.0.1.example.com"),
    ],
)
def test_a_host_that_nobody_listed_is_refused_whatever_it_resembles(host: str) -> None:
    """Naming the connection, the host and the setting."""
    with pytest.raises(ConfigurationError) as caught:
        read(given(host), ["gateway.example.com"])
    for word in ("connection 'o2o_api'", host.strip("[]"), "api.allowed_hosts"):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("somebody:geheim@api.o2o.be", "holds a login"),
        ("https://api.o2o.be@example.com", "holds a login"),
        ("api.o2o.be/receiver", "has '/' in it"),
        ("https://api.o2o.be//", "has '/' in it"),
        ("api.o2o.be?x=1", "has '?' in it"),
        ("api.o2o.be#", "has '#' in it"),
        ("example.com\\.api.o2o.be", "in it"),
        ("api.o2o.be ", "has ' ' in it"),
        ("api.o2o.be\n", r"has '\n' in it"),
        ("api.o2\u043e.be", r"has '\u043e' in it"),
        ("api.o2o\u3002be", r"has '\u3002' in it"),
        ("api.o2o.be%2f", "has '%' in it"),
        ("::1%lo", "has '%' in it"),
        ("*.o2o.be", "has '*' in it"),
        ("api.o2o.be.", "ends in a dot"),
        ("api..o2o.be", "is no host's name"),
        ("-api.o2o.be", "is no host's name"),
        ("127.1", "is no host's name"),
        ("2130706433", "is no host's name"),
        ("0177.0.0.1", "is no host's name"),
        ("api.o2o.be:443:80", "is no host's name"),
        ("api.o2o.be:", "is no host's name"),
        ("", "has no host"),
        ("https://", "has no host"),
        ("ftp://api.o2o.be", "must be https"),
        ("://api.o2o.be", "must be https"),
        ("https://http://api.o2o.be", "must be https"),
        ("http://api.o2o.be", "unencrypted"),
        ("http://gateway.example.com", "unencrypted"),
    ],
)
def test_a_host_that_is_no_plain_name_is_refused(host: str, words: str) -> None:
    """Naming the connection, and repeating nothing that may be a secret."""
    with pytest.raises(ConfigurationError) as caught:
        read(given(host), ["gateway.example.com"])
    assert words in str(caught.value)
    assert "connection 'o2o_api'" in str(caught.value)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        (given("api.o2o.be", schema="http"), "unencrypted"),
        (given("api.o2o.be", schema="receiver"), "must be https"),
        (given("api.o2o.be:8443", port=443), "two ports"),
        (given("api.o2o.be", port=70000), "port of the connection 'o2o_api'"),
        (given("api.o2o.be", port=-1), "port of the connection 'o2o_api'"),
        (given("api.o2o.be:0"), "port of the connection 'o2o_api'"),
    ],
)
def test_schema_and_port_must_fit(connection: Given, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        read(connection)


@pytest.mark.parametrize(
    ("listed", "host"),
    [
        ("gateway.example.com", "https://Gateway.Example.com:8443"),
        ("GATEWAY.example.com", "gateway.example.com"),
        ("10.0.0.5", "10.0.0.5"),
        ("[fd00::0001]", "fd00::1"),
        ("fd00::1", "https://[fd00::1]:8443"),
    ],
)
def test_a_listed_host_may_be_called(listed: str, host: str) -> None:
    """In whatever spelling, at any port, with TLS."""
    settings = Settings.model_validate({"api": {"allowed_hosts": [listed]}})
    assert read(given(host), settings.api.allowed_hosts).base_url.startswith("https://")


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("", "no password"),
        (" ", "a space or line break"),
        ("geheim woord", "a space or line break"),
        ("geheim\n", "a space or line break"),
        ("\tgeheim", "a space or line break"),
        ("Bearer geheim", "a space or line break"),
        ("geheim\x00", "a control character"),
        ("gehe\u00efm", "a character that is not ASCII"),
        ("geheim\u00a0", "a character that is not ASCII"),
    ],
)
def test_an_odd_token_is_refused_and_not_shown(token: str, words: str) -> None:
    """It would break the header, or be refused by o2o for no visible reason."""
    with pytest.raises(ConfigurationError) as caught:
        read(given("api.o2o.be", password=token))
    assert f"connection 'o2o_api' has {words}" in str(caught.value)
    assert "gehe" not in str(caught.value)


def test_the_token_shows_in_no_representation() -> None:
    """Neither of what somebody gave nor of what we read."""
    connection = given("api.o2o.be", extra={"also": TOKEN})
    assert TOKEN not in repr(connection)
    assert TOKEN not in repr(read(connection))


@pytest.mark.parametrize(
    "extra",
    [
        *({"verify": value} for value in (False, "false", "False", 0, "0", "no", "off", "", "none", "/etc/ssl/ca.pem")),
        *({key: False} for key in ("verify_ssl", "SSL", "sslVerify", "check_hostname", "extra__http__verify")),
        *({key: "true"} for key in ("insecure", "InsecureSkipVerify", "skip-verify", "trust_all")),
        {"verify_mode": "CERT_NONE"},
    ],
    ids=str,
)
def test_verification_cannot_be_switched_off(extra: dict[str, Any]) -> None:
    """Not in silence either: who tries is told of ca_file."""
    with pytest.raises(ConfigurationError, match=f"sets '{next(iter(extra))}'.*ca_file"):
        read(given("api.o2o.be", extra=extra))


@pytest.mark.parametrize(
    "extra", [{"verify": True}, {"verify": "true"}, {"verify": None}, {"insecure": False}, {"timeout": 0}, {}], ids=str
)
def test_what_switches_nothing_off_may_stay(extra: dict[str, Any]) -> None:
    assert read(given("api.o2o.be", extra=extra)).ca_file is None


@pytest.mark.parametrize("ca_file", ["ca.pem", "", 1, True, ["/ca.pem"]])
def test_a_ca_file_is_named_with_its_whole_path(ca_file: Any) -> None:
    """A task's working folder is not where somebody thinks."""
    with pytest.raises(ConfigurationError, match="ca_file in the extra of the connection 'o2o_api'"):
        read(given("api.o2o.be", extra={"ca_file": ca_file}))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        ("", "holds no certificates"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "holds no certificates, or broken ones"),
    ],
)
def test_a_ca_file_without_certificates_is_named(tmp_path: Path, content: str | None, words: str) -> None:
    """And so is its connection."""
    ca_file = tmp_path / "company.pem"
    if content is not None:
        ca_file.write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        trusted(Api("https://api.o2o.be", "api.o2o.be", TOKEN, str(ca_file)), "o2o_api")
    for word in ("connection 'o2o_api'", str(ca_file), words):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "entry", ["https://x.example.com", "x.example.com:8443", "*.example.com", "x.example.com.", "a@b"]
)
def test_a_mistake_in_allowed_hosts_names_file_and_key(tmp_path: Path, entry: str) -> None:
    """One that allows more, or less, than somebody believes."""
    folder = Path(shutil.copytree(config_dir(), tmp_path / "config"))
    path = folder / "settings.yaml"
    path.write_text(path.read_text().replace("allowed_hosts: []", f"allowed_hosts: ['{entry}']"))
    with pytest.raises(ConfigurationError, match=r"settings.yaml does not fit:\n  api.allowed_hosts.0: "):
        load_config(folder)


def test_a_client_has_a_list_of_its_own(tmp_path: Path) -> None:
    """It takes the place of the shared one: another employer's gateway is a stranger."""
    folder = Path(shutil.copytree(config_dir(), tmp_path / "config"))
    path = folder / "settings.yaml"
    path.write_text(path.read_text().replace("allowed_hosts: []", "allowed_hosts: [shared.example.com]"))
    (folder / "clients").mkdir()
    own = "mapping: {bike_plans: {ACME: PLAN}}\n"
    (folder / "clients" / "acme.yaml").write_text(f"{own}settings: {{api: {{allowed_hosts: [Acme.example.com]}}}}\n")
    (folder / "clients" / "other.yaml").write_text(own)
    assert load_config(folder, "acme").settings.api.allowed_hosts == ["acme.example.com"]
    assert load_config(folder, "other").settings.api.allowed_hosts == ["shared.example.com"]


@pytest.mark.parametrize("name", ["api.o2o.be", "x", "a-b.c1", "10.0.0.5", "::1", "xn--bcher-kva.example"])
def test_a_name_is_compared_in_one_spelling(name: str) -> None:
    assert host_name(name.upper()) == host_name(host_name(name)) == name


def test_the_environment_can_allow_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("O2O_ALLOWED_HOSTS", " Simulator, gateway.example.com,")
    assert hosts_of_the_environment() == ["simulator", "gateway.example.com"]
    monkeypatch.delenv("O2O_ALLOWED_HOSTS")
    assert hosts_of_the_environment() == []


def test_a_mistake_in_the_environments_hosts_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("O2O_ALLOWED_HOSTS", "https://gateway.example.com")
    with pytest.raises(ConfigurationError, match="O2O_ALLOWED_HOSTS"):
        hosts_of_the_environment()
