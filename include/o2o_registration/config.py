"""The files that people edit: settings (see `settings`), mapping and the extract's SQL, validated on load.

Source: the folder named by O2O_CONFIG_DIR, by default `include/config`; what a client's file changes of them is in
`overlay`. Raises ConfigurationError naming file, key and remedy.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from o2o_registration.clients import DEFAULT, Client, files
from o2o_registration.clients import config_dir as config_dir
from o2o_registration.errors import ConfigurationError
from o2o_registration.settings import Model, Settings, Strict
from o2o_registration.text import comparable

SOURCE_FIELDS = (
    "employee_id",
    "personnel_number",
    "first_name",
    "last_name",
    "email",
    "language",
    "contract_type",
    "company",
)
"""The text fields of a source row, in the order in which every module lists them."""


def _by_comparable_key(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    keys: dict[str, str] = {}
    for key in value:
        if not isinstance(key, str):
            raise ValueError(f"the key {key!r} is not text; put it between quotes")
        if comparable(key) in keys:
            raise ValueError(f"the keys {keys[comparable(key)]!r} and {key!r} mean the same; keep one of them")
        keys[comparable(key)] = key
    return {comparable(key): code for key, code in value.items()}


class Columns(Strict):
    """Our field -> the column's name in the extract's result."""

    employee_id: str
    personnel_number: str
    first_name: str
    last_name: str
    email: str
    language: str
    contract_type: str
    company: str
    interested: str
    changed_at: str

    @model_validator(mode="after")
    def _no_column_twice(self) -> Columns:
        names = list(self.model_dump().values())
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"the columns {twice} are named for more than one field; each field needs its own")
        return self


Languages = Annotated[dict[str, Literal["NL", "FR", "EN"]], BeforeValidator(_by_comparable_key)]
ContractTypes = Annotated[dict[str, Literal["clerk", "worker"]], BeforeValidator(_by_comparable_key)]
BikePlans = Annotated[dict[str, Annotated[str, Field(min_length=1)]], BeforeValidator(_by_comparable_key)]


class Mapping(Strict):
    """HR's words -> o2o's. Keys are in comparable form."""

    columns: Columns
    languages: Languages
    contract_types: ContractTypes
    bike_plans: BikePlans

    @model_validator(mode="after")
    def _not_empty(self) -> Mapping:
        for name in ("languages", "bike_plans"):
            if not getattr(self, name):
                raise ValueError(f"'{name}' is empty: every row would fail; name at least one entry")
        return self

    @cached_property
    def fingerprint(self) -> str:
        """Changes when the mapping does: a row that failed under the old one deserves another look."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Config:
    """All that a run is steered by; the sources are where to mend what a database has against it."""

    settings: Settings
    mapping: Mapping
    extract_sql: str
    client: Client = field(default_factory=Client)
    sql_source: str = "interested_employees.sql"
    mapping_source: str = "mapping.yaml"


def load_config(folder: Path | None = None, client: str = DEFAULT) -> Config:
    """Read and validate the three files, and the client's where it has one. Raises ConfigurationError."""
    folder = folder or config_dir()
    shared = Config(
        settings=yaml_model(Settings, folder / "settings.yaml"),
        mapping=yaml_model(Mapping, folder / "mapping.yaml"),
        extract_sql=_sql(folder / "interested_employees.sql"),
    )
    if client == DEFAULT:
        return shared
    from o2o_registration import overlay

    found = next((one for one in files(folder) if one.stem == client), None)
    if found is None:
        raise ConfigurationError(f"There is no client '{client}': {folder / 'clients'} has no {client}.yaml.")
    return overlay.laid_over(shared, overlay.read(found))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigurationError(
            f"{path} is missing. Restore it, or point O2O_CONFIG_DIR at the folder that has it."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}. It must be a UTF-8 text file.") from None


class _Loader(yaml.SafeLoader):
    """PyYAML takes the last of two equal keys, without a word."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key, _ in reversed(node.value):
            if keys.count(key.value) > 1:
                raise yaml.MarkedYAMLError(problem=f"the key '{key.value}' is there twice", problem_mark=key.start_mark)
        return node


def yaml_model(model: type[Model], path: Path) -> Model:
    """A YAML file's content. Raises ConfigurationError."""
    text = _text(path)
    try:
        content = yaml.load(text, _Loader)  # noqa: S506 - it is a SafeLoader
    except yaml.YAMLError as error:
        words = " ".join(str(error).split()).replace(' in "<unicode string>",', " in")
        raise ConfigurationError(f"{path} is not valid YAML: {words}") from None
    except Exception as error:  # noqa: BLE001 - a date that does not exist, say: PyYAML lets through what Python raises
        raise ConfigurationError(f"{path} has a value that cannot be read: {error}. Put it between quotes.") from None
    if content is not None and not isinstance(content, dict):
        raise ConfigurationError(f"{path} must hold 'key: value' entries, not a {type(content).__name__}.")
    try:
        return model.model_validate(content or {})
    except ValidationError as error:
        raise ConfigurationError(explain(path, error)) from None


_REMEDIES = {
    "missing": "add it",
    "extra_forbidden": "no such key: remove it or mend its spelling",
}


def explain(path: Path, error: ValidationError, part: str = "") -> str:
    """File, key and remedy of each mistake; `part` is the key below which the model lies."""
    lines = []
    for problem in error.errors(include_url=False, include_context=False):
        key = ".".join(str(step) for step in (part, *problem["loc"]) if step != "") or "(whole file)"
        text = problem["msg"].removeprefix("Value error, ")
        lines.append(f"  {key}: {text}; {_REMEDIES.get(problem['type'], 'mend the value')}")
    return f"{path} does not fit:\n" + "\n".join(lines)


def _sql(path: Path) -> str:
    sql = _text(path)
    require_window(sql, str(path))
    return sql


def require_window(sql: str, where: str) -> None:
    """Raises ConfigurationError for an extract that heeds no window."""
    uncommented = re.sub(r"--[^\n]*", "", sql)
    for parameter in (":since", ":until"):
        if not re.search(rf"(?<!:){parameter}\b", uncommented):
            raise ConfigurationError(
                f"{where} does not use the bound parameter {parameter}. Without it a run reads the wrong window;"
                " put it where the date of change is compared."
            )
