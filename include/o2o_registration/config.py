"""The files that people edit: settings, mapping and the extract's SQL, validated on load.

Source: the folder named by O2O_CONFIG_DIR, by default `include/config`; what a client's file changes of them is in
`overlay`. Raises ConfigurationError naming file, key and remedy.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from o2o_registration.api import host_name
from o2o_registration.clients import DEFAULT, Client, files
from o2o_registration.clients import config_dir as config_dir
from o2o_registration.errors import ConfigurationError
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


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=BaseModel)
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Days = Annotated[int, Field(ge=1, le=36_500)]


class ApiSettings(Strict):
    allowed_hosts: list[Annotated[str, AfterValidator(host_name)]] = []


class WindowSettings(Strict):
    lookback_hours: Annotated[float, Field(ge=0, le=87_600)] = 24
    chunk_rows: Count = 20_000

    @property
    def lookback(self) -> timedelta:
        return timedelta(hours=self.lookback_hours)


class QualitySettings(Strict):
    max_bad_share: Share = 0.25
    min_rows: Count = 20


class FuseSettings(Strict):
    max_people: Annotated[int, Field(ge=0)] = 500
    times_usual: Annotated[float, Field(ge=1, le=1_000_000)] = 10
    min_people: Count = 50
    # a run ends after 26 hours, and the calls may take six of them
    answer_hours: Annotated[float, Field(gt=0, le=18)] = 12


class DeliverySettings(Strict):
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 64
    calls_per_second: Annotated[float, Field(ge=0.01, le=100_000)] = 50
    connect_seconds: Seconds = 5
    read_seconds: Seconds = 30
    max_answer_bytes: Annotated[int, Field(ge=1024, le=10_000_000)] = 65_536
    claim_batch: Annotated[int, Field(ge=1, le=10_000)] = 200
    people_per_shard: Count = 5_000
    max_shards: Annotated[int, Field(ge=1, le=32)] = 4
    breaker_failures: Count = 5
    breaker_seconds: Seconds = 60
    max_wait_seconds: Annotated[float, Field(ge=0, le=86_400)] = 90
    backoff_seconds: Annotated[float, Field(ge=0, le=86_400)] = 60

    @property
    def call_seconds(self) -> float:
        """The longest that one call can last, from its start to its last byte."""
        return self.connect_seconds + self.read_seconds


class InDoubtSettings(Strict):
    policy: Literal["resend", "hold"] = "resend"
    cool_down_minutes: Annotated[float, Field(ge=0, le=525_600)] = 15
    warn_at: Count = 10

    @property
    def cool_down(self) -> timedelta:
        return timedelta(minutes=self.cool_down_minutes)


class Notifier(Strict):
    """An Airflow notifier: its import path, and what it is made with."""

    notifier: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")]
    arguments: dict[str, Any] = {}


class NotifySettings(Strict):
    on_failure: list[Notifier] = []
    on_many_in_doubt: list[Notifier] = []


class PrivacyDays(Strict):
    """Days after which data that is no longer needed is deleted; what each means is in settings.yaml."""

    person_days: Days = 90
    answer_days: Days = 30
    quarantine_days: Days = 90
    unfinished_days: Days = 7
    pseudonym_days: Days = 730
    data_docs_days: Days = 30
    batch_rows: Count = 1000


_NO_LATER = (
    ("answer_days", "person_days", "o2o's raw answers may quote the name and the address"),
    ("person_days", "pseudonym_days", "the name goes with the employee id at the latest"),
    # nobody gets a pseudonym while a row of theirs waits here
    ("quarantine_days", "pseudonym_days", "a row set aside has the employee id, too"),
    ("unfinished_days", "pseudonym_days", "a row of a run that broke off has the employee id, too"),
)
"""What goes no later than what, and why."""


class PrivacySettings(PrivacyDays):
    """All of them together."""

    @model_validator(mode="after")
    def _nothing_outlives_what_it_names(self) -> PrivacySettings:
        days = self.model_dump()
        wrong = [
            f"{sooner} ({days[sooner]}) is more than {later} ({days[later]}): {why}"
            for sooner, later, why in _NO_LATER
            if days[sooner] > days[later]
        ]
        if wrong:
            raise ValueError(f"{'; '.join(wrong)}; lower the former or raise the latter")
        return self


class Sections(Strict):
    """Those whose values may be looked at one by one."""

    api: ApiSettings = ApiSettings()
    window: WindowSettings = WindowSettings()
    quality: QualitySettings = QualitySettings()
    fuse: FuseSettings = FuseSettings()
    delivery: DeliverySettings = DeliverySettings()
    in_doubt: InDoubtSettings = InDoubtSettings()
    notify: NotifySettings = NotifySettings()


class Settings(Sections):
    privacy: PrivacySettings = PrivacySettings()


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
