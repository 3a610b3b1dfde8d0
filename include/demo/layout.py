"""Where the demo keeps its files, which ports it uses, and the passwords that it made up."""

from __future__ import annotations

import base64
import itertools
import json
import os
import random
import secrets
import socket
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from demo.errors import DemoError, PortTaken

PROJECT = Path(__file__).resolve().parent.parent.parent
HOST = "127.0.0.1"

HR_WAREHOUSE = "hr_warehouse"
O2O_LEDGER = "o2o_ledger"
AIRFLOW_DATABASE = "airflow"


@dataclass(frozen=True)
class Layout:
    """All paths of one stack hang off its run directory."""

    run_dir: Path = PROJECT / ".run"
    dags: Path = PROJECT / "dags"
    plugins: Path = PROJECT / "plugins"
    include: Path = PROJECT / "include"

    @property
    def logs(self) -> Path:
        return self.run_dir / "logs"

    @property
    def task_logs(self) -> Path:
        return self.logs / "tasks"

    @property
    def postgres(self) -> Path:
        return self.run_dir / "postgres"

    @property
    def airflow_home(self) -> Path:
        return self.run_dir / "airflow"

    @property
    def simulator_journal(self) -> Path:
        return self.run_dir / "simulator" / "journal.jsonl"

    @property
    def data_docs(self) -> Path:
        return self.run_dir / "data-docs"

    @property
    def secrets_file(self) -> Path:
        return self.run_dir / "secrets.json"

    @property
    def state_file(self) -> Path:
        return self.run_dir / "stack.json"

    @property
    def lock_file(self) -> Path:
        return self.run_dir / "stack.lock"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"


@dataclass(frozen=True)
class Ports:
    """0 means: any free one."""

    airflow: int = 8080
    postgres: int = 5433
    simulator: int = 8090

    def resolved(self) -> Ports:
        """The ports to use. Raises PortTaken when one belongs to another program."""
        chosen: dict[str, int] = {}
        for name, port in asdict(self).items():
            port = port or free_port()
            if port in chosen.values():
                raise PortTaken(f"{VARIABLES[name]}={port} is also the port of another part; give it its own.")
            if not is_free(port):
                raise PortTaken(
                    f"Port {port}, meant for {TITLES[name]}, is taken. "
                    f"Choose another: make run {VARIABLES[name]}={port + 1}"
                )
            chosen[name] = port
        return Ports(**chosen)


VARIABLES = {"airflow": "AIRFLOW_PORT", "postgres": "PG_PORT", "simulator": "SIMULATOR_PORT"}
TITLES = {"airflow": "Airflow", "postgres": "PostgreSQL", "simulator": "the o2o simulator"}


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Without this, connections of a stack that just stopped (TIME_WAIT) would look like a taken port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            raise DemoError(f"Port {port} needs more rights than you have; choose one above 1023.") from None
        except OSError:
            return False
    return True


# Below what systems give to connections and to whoever binds port 0: what is free stays so until its server starts.
_PORTS = range(20_000, 32_000)
_turn = itertools.count(random.randrange(len(_PORTS)))


def free_port() -> int:
    """A port that nobody listens on, and not one that this process was given before."""
    for turn in itertools.islice(_turn, len(_PORTS)):
        if is_free(port := _PORTS[turn % len(_PORTS)]):
            return port
    raise PortTaken(f"No port from {_PORTS.start} to {_PORTS.stop - 1} is free.")


def _password() -> str:
    return secrets.token_urlsafe(12)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


@dataclass(frozen=True)
class Secrets:
    """Made up on the first start and kept, so that a second start finds its databases and sessions again."""

    postgres_password: str = field(default_factory=_password, repr=False)
    admin_password: str = field(default_factory=_password, repr=False)
    viewer_password: str = field(default_factory=_password, repr=False)
    o2o_token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    jwt_secret: str = field(default_factory=lambda: secrets.token_urlsafe(64), repr=False)
    api_secret: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    fernet_key: str = field(default_factory=_fernet_key, repr=False)

    @classmethod
    def load(cls, path: Path) -> Secrets:
        """What the file holds; what it lacks is made up and written back."""
        try:
            known = json.loads(path.read_text()) if path.exists() else {}
            kept = {item.name: known[item.name] for item in fields(cls) if item.name in known}
            # anything else would be replaced by new passwords, and those open no database that stands
            if not isinstance(known, dict) or not all(isinstance(value, str) for value in kept.values()):
                raise TypeError("it holds no names with texts")
        except (OSError, ValueError, TypeError) as error:
            raise DemoError(f"{path} cannot be read ({error}). `make clean` starts anew.") from None
        loaded = cls(**kept)
        if asdict(loaded) != known:
            write_private(path, json.dumps(asdict(loaded), indent=2) + "\n")
        return loaded


def write_private(path: Path, text: str) -> None:
    """Write so that nobody else can read it, and nobody ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
