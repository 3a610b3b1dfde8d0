"""The DAG's tasks, each a few lines over one module of the domain. Heavy imports happen inside, where they run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias, get_current_context
from airflow.sdk.observability.stats import gauge
from o2o_connections import ledger_engine, privacy_key, warehouse_engine
from o2o_context import explained, order_of, request_of
from o2o_notify import tell
from o2o_registration.clients import DEFAULT, data_docs

if TYPE_CHECKING:
    from o2o_registration.audit import Summary
    from o2o_registration.config import Config

log = logging.getLogger("airflow.task")


def registrations(client: str = DEFAULT) -> Asset:
    """Every run that did something updates it; the event carries the run's numbers."""
    return _asset("registrations", client)


def in_doubt(client: str = DEFAULT) -> Asset:
    """Updated only by a run that leaves in_doubt.warn_at people or more in doubt: schedule an alert by it."""
    return _asset("in_doubt", client)


def attention(client: str = DEFAULT) -> AssetAlias:
    """By which a run that has reason to updates `in_doubt`."""
    return AssetAlias("o2o_attention" if client == DEFAULT else f"o2o_attention__{client}")


def _asset(name: str, client: str) -> Asset:
    if client == DEFAULT:
        return Asset(name=f"o2o_{name}", uri=f"o2o://ledger/{name}")
    return Asset(name=f"o2o_{name}__{client}", uri=f"o2o://ledger/{client}/{name}")


def extract_interested_employees(client: str = DEFAULT) -> dict[str, int] | None:
    """Read the run's window. Returns counts, or None when there is nothing to do, which skips the rest."""
    from o2o_registration import actions, audit, extract, window
    from o2o_registration.config import load_config
    from o2o_registration.outbox import Outbox
    from o2o_registration.report import table

    with explained(log, client):
        request = request_of(get_current_context())
        config = load_config(client=client)
        ledger = ledger_engine(config.client)
        with ledger.connect() as connection:
            reached = window.read_watermark(connection)
        run = window.plan(request, reached, config.settings.window.lookback)
        log.info("Window %s to %s", _when(run.window.since), _when(run.window.until))
        found = extract.extract(warehouse_engine(config.client), ledger, config, run, privacy_key(config.client))
        log.info(table("Extracted", vars(found)))
        order = order_of(get_current_context())
        if order and not run.dry_run:
            log.info(actions.concerns(order, actions.carry_out(ledger, order, run.run_id)))
        if found.candidates or (
            not run.dry_run and Outbox(ledger, config.settings, run.run_id, run.employee_ids).has_work()
        ):
            return vars(found)
        summary = audit.settle(ledger, run.run_id)
    _tell_of_doubt(summary, config)
    log.info("Nothing new and nothing waiting: the rest of this run is skipped")
    return None


def check_quality(client: str = DEFAULT) -> dict[str, Any]:
    """Check the candidates. Returns counts per reason. Fails the run when too many are bad."""
    from o2o_registration.checking import check
    from o2o_registration.config import load_config
    from o2o_registration.report import table

    context = get_current_context()
    with explained(log, client):
        config = load_config(client=client)
        checked = check(
            ledger_engine(config.client),
            config,
            context["dag_run"].run_id,
            data_docs(client),
            context["params"]["max_bad_share"],
        )
    for warning in checked.warnings:
        log.warning(warning)
    log.info(table("Checked", {"rows": checked.rows, "quarantined": checked.bad, **checked.reasons}))
    return {"rows": checked.rows, "quarantined": checked.bad, "reasons": checked.reasons}


def build_payloads(client: str = DEFAULT) -> dict[str, int]:
    """Turn the good candidates into pending registrations. Returns counts; a dry run only says who they are."""
    from o2o_registration.building import build
    from o2o_registration.config import load_config
    from o2o_registration.report import table

    context = get_current_context()
    dry_run = bool(context["params"]["dry_run"])
    with explained(log, client):
        config = load_config(client=client)
        key = privacy_key(config.client)
        built = build(ledger_engine(config.client), config, context["dag_run"].run_id, dry_run, key)
    counts = {"registered": built.registered, "known": built.known, "quarantined": built.quarantined}
    log.info(table("Would be sent" if dry_run else "Built", counts))
    if dry_run:
        log.info("Employee ids (the first %d): %s", len(built.employee_ids), ", ".join(built.employee_ids))
    return counts


def load_audit(outlet_events: Any, client: str = DEFAULT) -> dict[str, Any]:
    """Write the audit, settle the run, prove its arithmetic. Returns the summary and hands it to the asset event."""
    from o2o_registration import audit
    from o2o_registration.config import load_config
    from o2o_registration.report import table

    context = get_current_context()
    with explained(log, client):
        config = load_config(client=client)
        ledger = ledger_engine(config.client)
        audit.load(ledger)
        summary = audit.settle(ledger, context["dag_run"].run_id)
    log.info(table("Run summary", {name: value for name, value in summary.as_dict().items() if value is not None}))
    outlet_events[registrations(client)].extra = summary.as_dict()
    if _tell_of_doubt(summary, config):
        outlet_events[attention(client)].add(in_doubt(client), extra=summary.as_dict())
    return summary.as_dict()


def _tell_of_doubt(summary: Summary, config: Config) -> bool:
    """Whether so many are in doubt that somebody should look; as a metric in any case."""
    settings, name = config.settings, config.client.name
    # in the name, for StatsD knows no tags
    metric = "o2o" if name == DEFAULT else f"o2o.{name}"
    gauge(f"{metric}.in_doubt", summary.in_doubt_now)
    gauge(f"{metric}.held", summary.held)
    gauge(f"{metric}.pending", summary.pending)
    if summary.in_doubt_now < settings.in_doubt.warn_at:
        if summary.in_doubt_now:
            log.info("%s", summary.doubt())
        return False
    log.warning(
        "%s (in_doubt.warn_at is %d). Ask o2o which of them it has, then confirm or release them: trigger a run with"
        " an 'action', or 'python -m o2o_registration in-doubt'.",
        summary.doubt(),
        settings.in_doubt.warn_at,
    )
    tell(settings.notify.on_many_in_doubt, get_current_context())
    return True


def _when(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
