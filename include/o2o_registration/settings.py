"""Every number the pipeline is steered by: `settings.yaml`, validated. Its comments say why each is what it is."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from o2o_registration.api import host_name


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
