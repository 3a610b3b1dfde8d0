"""The employers that are served, each by a file of its own: `clients/<name>.yaml` in the configuration folder.

Light, for every parse of the DAG reads it: what validates is imported only where there is a client's file.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from o2o_registration.errors import ConfigurationError

DEFAULT = "default"
"""The one client of a configuration folder without client files."""
DAG_ID = "o2o_register_interested_employees"
MAINTENANCE_DAG_ID = "o2o_maintenance"
EVERY_FIVE_MINUTES = "*/5 * * * *"
DOCS_FOLDER = "O2O_DATA_DOCS_DIR"
"""Where Data Docs pages are written, one per run; unset: none are."""
NAMES = "a client's name has lower case letters, digits and underscores, 60 at most"


@dataclass(frozen=True)
class Client:
    """One employer: the Airflow connections that are its own, and when its DAG runs."""

    name: str = DEFAULT
    warehouse: str = "hr_warehouse"
    ledger: str = "o2o_ledger"
    api: str = "o2o_api"
    privacy: str = "o2o_privacy"
    schedule: str = EVERY_FIVE_MINUTES

    @property
    def dag_id(self) -> str:
        return dag_id(self.name)

    @property
    def maintenance_dag_id(self) -> str:
        return MAINTENANCE_DAG_ID if self.name == DEFAULT else f"{MAINTENANCE_DAG_ID}__{self.name}"


@dataclass(frozen=True)
class Broken:
    """A client's file that does not fit: its DAG is not made."""

    path: Path
    error: ConfigurationError


def config_dir() -> Path:
    return Path(os.environ.get("O2O_CONFIG_DIR") or Path(__file__).resolve().parent.parent / "config")


def dag_id(name: str) -> str:
    """The DAG that registers this client's people."""
    return DAG_ID if name == DEFAULT else f"{DAG_ID}__{name}"


def data_docs(name: str) -> Path | None:
    """The folder of a client's Data Docs: two clients' runs may have the same id."""
    root = os.environ.get(DOCS_FOLDER)
    if not root:
        return None
    return Path(root) if name == DEFAULT else Path(root) / name


def files(folder: Path | None = None) -> tuple[Path, ...]:
    """All client files. Also those whose names do not fit: to overlook one would leave its employees out."""
    places = (folder or config_dir()) / "clients"
    return tuple(sorted(one for one in places.glob("[!.]*") if one.suffix.lower() in (".yaml", ".yml")))


def names(folder: Path | None = None) -> tuple[str, ...]:
    """The clients that are served, the default alone where there are no files; a broken file's client, too."""
    return tuple(dict.fromkeys(one.stem for one in files(folder))) or (DEFAULT,)


def check_name(path: Path) -> None:
    """Raises ConfigurationError for a file that cannot be a client's."""
    if path.suffix != ".yaml":
        there = path.with_suffix(".yaml").exists()
        remedy = f"there is {path.stem}.yaml as well, so remove it" if there else f"rename it to {path.stem}.yaml"
        raise ConfigurationError(f"{path} is not read: {remedy}.")
    if path.stem == DEFAULT:
        raise ConfigurationError(f"{path}: '{DEFAULT}' means that there are no clients; rename the file.")
    if not fits(path.stem):
        raise ConfigurationError(f"{path}: {NAMES}; rename the file.")


def fits(name: str) -> bool:
    """Whether it can be a client's name."""
    return re.fullmatch(r"[a-z0-9][a-z0-9_]{0,59}", name) is not None


def served(only: str | None = None) -> list[Client]:
    """Whose DAGs are to be made: all whose files fit, or the one of the DAG id `only`."""
    if not files():
        return [Client()]
    return [one for one in _read(only) if isinstance(one, Client)]


def complain() -> None:
    """Raises ConfigurationError with what is wrong in which client's file, if anything is."""
    found = [one for one in _read(None) if isinstance(one, Broken)] if files() else []
    if found:
        broken = ", ".join(one.path.name for one in found)
        words = "\n".join(str(one.error) for one in found)
        raise ConfigurationError(f"No DAG is made of {broken} until mended; the other clients' DAGs run on.\n{words}")


def _read(only: str | None) -> list[Client | Broken]:
    from o2o_registration.overlay import read_all

    return read_all([one for one in files() if only is None or dag_id(one.stem) == only])
