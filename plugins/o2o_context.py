"""What a task knows of its run, and how its errors reach the person on call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException
from o2o_registration import errors
from o2o_registration.clients import DEFAULT

if TYPE_CHECKING:
    from airflow.sdk import Context
    from o2o_registration.actions import Order
    from o2o_registration.window import Request

# a retry cannot mend these; every other error may pass by itself
_FINAL = (
    errors.ConfigurationError,
    errors.TooManyBadRows,
    errors.ConservationError,
    errors.DeliveryStopped,
)


@contextmanager
def explained(log: Any, client: str = DEFAULT) -> Iterator[None]:
    """Turn the pipeline's errors into Airflow's: the text alone, final where a retry cannot help."""
    import sqlalchemy as sa

    try:
        yield
    except errors.O2OError as error:
        log.error("%s", error)
        kind = AirflowFailException if isinstance(error, _FINAL) else AirflowException
        raise kind(str(error)) from None
    except sa.exc.DBAPIError as error:
        text = (
            f"The ledger failed ({errors.driver_words(error)}). Nothing is lost: what was"
            " not committed is done again by the retry or the next run. Check PostgreSQL and the connection"
            f" {_ledger_words(client)}."
        )
        if type(error.orig).__name__ == "LockNotAvailable":
            text += " Another session holds a lock: pg_blocking_pids() over pg_stat_activity names it."
        log.error("%s", text)
        raise AirflowException(text) from None


def _ledger_words(client: str) -> str:
    if client == DEFAULT:
        return "'o2o_ledger'"
    return f"'o2o_ledger_{client}', or what clients/{client}.yaml names instead (connections.ledger)"


def request_of(context: Context) -> Request:
    """The run as the trigger form and the scheduler describe it. Raises ConfigurationError for a bad date."""
    from o2o_registration.window import Request

    dag_run, params = context["dag_run"], context["params"]
    start, end = dag_run.data_interval_start, dag_run.data_interval_end
    kind = str(getattr(dag_run.run_type, "value", dag_run.run_type))
    # Airflow gives a manual run the last whole interval; who triggers one expects it to read until now
    interval = (start, end) if kind != "manual" and start is not None and end is not None else None
    return Request(
        run_id=dag_run.run_id,
        kind=kind,
        interval=interval,
        run_after=dag_run.run_after,
        since=_instant(params["since"], "since"),
        until=_instant(params["until"], "until"),
        employee_ids=employee_ids(params),
        dry_run=bool(params["dry_run"]),
    )


def order_of(context: Context) -> Order | None:
    """What the trigger form tells the run to do about people in doubt or held. Raises ConfigurationError."""
    from o2o_registration.actions import Action, Order

    params = context["params"]
    if not params["action"]:
        return None
    actor = context["dag_run"].triggering_user_name or "somebody by the trigger form"
    return Order(Action(params["action"]), employee_ids(params), actor, params["why"] or "")


def employee_ids(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Whom the trigger form names; nobody means everybody. People type blanks, and leave lines empty."""
    return tuple(dict.fromkeys(one.strip() for one in params.get("employee_ids") or () if one.strip()))


def _instant(text: str | None, name: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise errors.ConfigurationError(
            f"'{name}' in the trigger form is no date and time: write it as 2026-01-31T08:00:00+00:00."
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
