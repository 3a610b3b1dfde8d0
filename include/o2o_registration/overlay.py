"""A client's file, and what it changes of the shared settings, mapping and SQL."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError

from o2o_registration.clients import EVERY_FIVE_MINUTES, Broken, Client, check_name
from o2o_registration.config import (
    BikePlans,
    Columns,
    Config,
    ContractTypes,
    Languages,
    Mapping,
    explain,
    load_config,
    require_window,
    yaml_model,
)
from o2o_registration.errors import ConfigurationError
from o2o_registration.settings import Model, PrivacyDays, Sections, Settings, Strict


def _cron(text: str) -> str:
    from croniter import CroniterBadDateError, croniter  # type: ignore[import-untyped]

    if len(text.split()) != 5 or not croniter.is_valid(text):
        raise ValueError("is no cron expression of five fields, as '*/5 * * * *' is one")
    # on both of these Airflow fails once it has the DAG, and takes it out on all DAGs of the file
    if re.search(r"(?<![a-z])r(?![a-z])", text, re.IGNORECASE):
        raise ValueError("has the random field 'R', which Airflow cannot follow: name minutes and hours")
    try:
        croniter(text, datetime.now(UTC)).get_next()
        croniter(text, datetime.now(UTC)).get_prev()
    except CroniterBadDateError:
        raise ValueError("names a day that never comes") from None
    return text


ConnectionId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]


class _Connections(Strict):
    warehouse: ConnectionId | None = None
    ledger: ConnectionId | None = None
    api: ConnectionId | None = None
    privacy: ConnectionId | None = None


def _known_fields(columns: dict[str, str]) -> dict[str, str]:
    unknown = sorted(set(columns) - set(Columns.model_fields))
    if unknown:
        raise ValueError(f"there are no fields {unknown}; the fields are {', '.join(Columns.model_fields)}")
    return columns


class _Mapping(Strict):
    """Bike plans are never taken over from elsewhere: nobody may get another employer's plan."""

    bike_plans: Annotated[BikePlans, Field(min_length=1)]
    columns: Annotated[dict[str, str], AfterValidator(_known_fields)] = Field(default_factory=dict)
    languages: Languages = Field(default_factory=dict)
    contract_types: ContractTypes = Field(default_factory=dict)


class _Settings(Sections):
    """Whether its times fit each other is seen when they are laid over the shared ones."""

    privacy: PrivacyDays = PrivacyDays()


class _ClientFile(Strict):
    mapping: _Mapping
    connections: _Connections = _Connections()
    schedule: Annotated[str, AfterValidator(_cron)] = EVERY_FIVE_MINUTES
    settings: _Settings = _Settings()
    query: str | None = None


@dataclass(frozen=True)
class Overlay:
    """One client's file, validated by itself."""

    path: Path
    client: Client
    content: _ClientFile


def read(path: Path) -> Overlay:
    """Raises ConfigurationError naming file, key and remedy."""
    check_name(path)
    content = yaml_model(_ClientFile, path)
    if content.query is not None:
        require_window(content.query, f"{path} (query)")
    name, own = path.stem, content.connections
    client = Client(
        name,
        own.warehouse or f"hr_warehouse_{name}",
        own.ledger or f"o2o_ledger_{name}",
        own.api or f"o2o_api_{name}",
        own.privacy or f"o2o_privacy_{name}",
        content.schedule,
    )
    return Overlay(path, client, content)


def laid_over(shared: Config, overlay: Overlay) -> Config:
    """The shared configuration as this client has it. Raises ConfigurationError."""
    own = overlay.content
    # bike plans are the client's alone, all else is laid over the shared words
    words = _merged(_set(shared.mapping), _set(own.mapping)) | {"bike_plans": own.mapping.bike_plans}
    where = f"clients/{overlay.path.name}"
    made = replace(
        shared,
        client=overlay.client,
        settings=_model(Settings, overlay.path, "settings", _merged(_set(shared.settings), _set(own.settings))),
        mapping=_model(Mapping, overlay.path, "mapping", words),
        mapping_source=f"{shared.mapping_source} or {where}",
    )
    return made if own.query is None else replace(made, extract_sql=own.query, sql_source=f"{where} (query)")


def read_all(paths: Sequence[Path]) -> list[Client | Broken]:
    """Each file by itself, so that a broken one speaks of its own client alone.

    A mistake in the shared files is nobody's own: the runs tell it.
    """
    try:
        shared: Config | None = load_config()
    except ConfigurationError:
        shared = None
    found: list[Client | Broken] = []
    for path in paths:
        try:
            overlay = read(path)
            if shared is not None:
                laid_over(shared, overlay)
            found.append(overlay.client)
        except ConfigurationError as error:
            found.append(Broken(path, error))
    return found


def _set(model: Strict) -> dict[str, Any]:
    """What the file says, without defaults."""
    return model.model_dump(exclude_unset=True)


def _merged(shared: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    merged = dict(shared)
    for name, value in own.items():
        merged[name] = _merged(shared.get(name, {}), value) if isinstance(value, dict) else value
    return merged


def _model(model: type[Model], path: Path, part: str, content: dict[str, Any]) -> Model:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConfigurationError(explain(path, error, part)) from None
