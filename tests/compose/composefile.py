"""Reads docker-compose.yaml and the image's Dockerfile as Docker does: variables, merges, environments, mounts."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[2]
COMPOSE = PROJECT / "docker-compose.yaml"
DOCKERFILE = PROJECT / "docs" / "deploy" / "Dockerfile"
OWN_IMAGE = "o2o-registration"

_VARIABLE = re.compile(r"\$(?:(?P<escaped>\$)|\{(?P<name>[A-Z0-9_]+)(?::-(?P<default>(?:[^{}]|\$\{[^{}]*\})*))?\})")


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """`${NAME:-default}`, in which the default may hold another, and `$$`.

    Raises KeyError for a variable without default that is not set.
    """

    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        if match["default"] is None:
            return variables[match["name"]]
        return variables.get(match["name"]) or interpolate(match["default"], variables)

    return _VARIABLE.sub(value, text)


def defaults(text: str) -> dict[str, str]:
    """Each variable, also within another's default, with the default that it has."""
    found: dict[str, str] = {}
    for match in _VARIABLE.finditer(text):
        if match["name"]:
            default = match["default"] or ""
            found |= {**defaults(default), match["name"]: interpolate(default, {})}
    return found


def raw(path: Path = COMPOSE) -> dict[str, Any]:
    """The file with its anchors merged, its variables as they stand."""
    return dict(yaml.safe_load(path.read_text()))


def loaded(variables: Mapping[str, str], path: Path = COMPOSE) -> dict[str, Any]:
    """The file as Docker would carry it out."""

    def walk(node: Any) -> Any:
        if isinstance(node, str):
            return interpolate(node, variables)
        if isinstance(node, dict):
            return {key: walk(value) for key, value in node.items()}
        return [walk(one) for one in node] if isinstance(node, list) else node

    return dict(walk(raw(path)))


@dataclass(frozen=True)
class Service:
    """One service; `mounts` are (source, target), a source without a slash is a named volume."""

    name: str
    of: Mapping[str, Any]

    @property
    def image(self) -> str:
        return str(self.of["image"])

    @property
    def own(self) -> bool:
        return self.image.partition(":")[0] == OWN_IMAGE

    @property
    def command(self) -> list[str]:
        return words(self.of["command"])

    @property
    def health(self) -> list[str] | None:
        """The command of its health check."""
        kind, *arguments = (self.of.get("healthcheck") or {}).get("test") or [None]
        return ["sh", "-c", *arguments] if kind == "CMD-SHELL" else arguments or None

    @property
    def environment(self) -> dict[str, str]:
        return {**(dockerfile_environment() if self.own else {}), **(self.of.get("environment") or {})}

    @property
    def secrets(self) -> list[str]:
        return list(self.of.get("secrets") or [])

    @property
    def mounts(self) -> list[tuple[str, str]]:
        return [(parts[0], parts[1]) for parts in (one.split(":") for one in self.of.get("volumes") or [])]

    @property
    def needs(self) -> dict[str, str]:
        """Service -> the condition under which this one may start."""
        return {name: one["condition"] for name, one in (self.of.get("depends_on") or {}).items()}

    @property
    def profiles(self) -> set[str]:
        return set(self.of.get("profiles") or [])


def services(variables: Mapping[str, str]) -> dict[str, Service]:
    return {name: Service(name, of) for name, of in loaded(variables)["services"].items()}


def words(command: str | list[str]) -> list[str]:
    return shlex.split(command) if isinstance(command, str) else list(command)


def dockerfile_environment() -> dict[str, str]:
    """The ENV lines."""
    return dict(re.findall(r"^ENV (\w+)=(\S+)$", DOCKERFILE.read_text(), re.M))


def dockerfile_copies() -> list[tuple[Path, str]]:
    """The COPY lines: (source in the project, target in the image)."""
    lines = re.findall(r"^COPY (\S+) (\S+)$", DOCKERFILE.read_text(), re.M)
    return [(PROJECT / source, target) for source, target in lines]
