"""`python -m demo.make_secrets FOLDER`: makes up the secret files that docker-compose.yaml reads. Keeps what is there.

The folder keeps others out; what is in it is readable, since each service runs as a user of its own.
"""

from __future__ import annotations

import argparse
import base64
import datetime
import ipaddress
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

CONNECTIONS = "connections/connections.yaml"
CA = "connections/simulator-ca.pem"


class Folder:
    """The secret files, each made when it is first asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.made: list[str] = []

    def secret(self, name: str, make: Callable[[], str] = lambda: secrets.token_hex(24)) -> str:
        """What the file holds; a new one gets what `make` says."""
        path = self._path / name
        if path.exists():
            return path.read_text().strip()
        if not path.parent.exists():
            path.parent.mkdir()
            path.parent.chmod(0o755)
        text = make()
        draft = path.with_name(f".{path.name}.draft")
        draft.write_text(text)
        draft.chmod(0o644)
        draft.replace(path)
        self.made.append(name)
        return text


def make(path: Path) -> list[str]:
    """The names of the files that were not there before. Raises OSError when the folder cannot be written."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = Folder(path)
    folder.secret("postgres_password")
    for name in ("api_secret_key", "admin_password"):
        folder.secret(name)
    # SHA-512 asks for 64 bytes at least
    folder.secret("jwt_secret", lambda: secrets.token_hex(48))
    folder.secret("fernet_key", lambda: base64.urlsafe_b64encode(os.urandom(32)).decode())
    airflow = folder.secret("airflow_password")
    folder.secret("airflow_database", lambda: f"postgresql+psycopg://airflow:{airflow}@postgres:5432/airflow")
    redis = folder.secret("redis_password")
    folder.secret("broker", lambda: f"redis://:{redis}@redis:6379/0")
    warehouse = folder.secret("warehouse_password")
    url = f"postgresql+psycopg://postgres:{warehouse}@demo-warehouse:5432/hr_warehouse"
    folder.secret("demo_warehouse", lambda: url)
    _simulator(folder)
    ledger, token = folder.secret("ledger_password"), folder.secret("o2o_token")
    folder.secret(CONNECTIONS, lambda: yaml.safe_dump(_connections(warehouse, ledger, token), sort_keys=False))
    return folder.made


def _connections(warehouse: str, ledger: str, token: str) -> dict[str, object]:
    return {
        "hr_warehouse": _postgres("demo-warehouse", "hr_warehouse", "postgres", warehouse),
        # the real one, o2o_ledger, is empty until somebody's own connections name it
        "o2o_ledger": _postgres("postgres", "o2o_ledger_demo", "o2o", ledger),
        "o2o_api": {
            "conn_type": "http",
            "schema": "https",
            "host": "simulator",
            "port": 8090,
            "password": token,
            "extra": {"ca_file": "/run/connections/simulator-ca.pem"},
        },
        # the key of the pseudonyms; docs/privacy.md
        "o2o_privacy": {"conn_type": "generic", "password": secrets.token_hex(32)},
    }


def _postgres(host: str, database: str, login: str, password: str) -> dict[str, object]:
    # the containers' network is theirs alone, and its servers have no certificates
    where = {"conn_type": "postgres", "host": host, "port": 5432, "schema": database}
    return {**where, "login": login, "password": password, "extra": {"sslmode": "disable"}}


def _simulator(folder: Folder) -> None:
    """A certificate that vouches for itself, as a company's own authority would."""
    pem = folder.secret("simulator_key", _key)
    certificate = folder.secret("simulator_certificate", lambda: _certificate(pem))
    folder.secret(CA, lambda: certificate)


def _key() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _certificate(pem: str) -> str:
    """For the key that is there, whichever run made it."""
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "simulator")])
    names = [x509.DNSName("simulator"), x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )


def main(arguments: list[str] | None = None) -> int:
    """Exit code 2 when the folder cannot be written."""
    parser = argparse.ArgumentParser(prog="python -m demo.make_secrets", description=__doc__)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    try:
        made = make(options.folder)
    except OSError as error:
        parser.error(f"{options.folder} cannot be written ({error.strerror})")
    print(f"Made {', '.join(made)}." if made else "All secrets are there; nothing was changed.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
