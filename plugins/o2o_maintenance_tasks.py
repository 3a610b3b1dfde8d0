"""The tasks of the DAG o2o_maintenance, each a few lines over one module of the domain."""

from __future__ import annotations

import logging

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowSkipException
from o2o_connections import ledger_engine, privacy_key
from o2o_context import explained
from o2o_registration.clients import DEFAULT, DOCS_FOLDER, data_docs

log = logging.getLogger("airflow.task")


def erase_people(client: str = DEFAULT) -> dict[str, int]:
    """Erase whom the trigger form names. Returns counts; skipped when it names nobody."""
    from o2o_registration.config import load_config
    from o2o_registration.privacy.erasure import erase

    context = get_current_context()
    params = context["params"]
    ids = params["erase"] or []
    if not ids or params["dry_run"]:
        raise AirflowSkipException(f"{len(ids)} people are named, and this run erases nobody")
    actor = context["dag_run"].triggering_user_name or "somebody by the trigger form"
    with explained(log, client):
        of = load_config(client=client).client
        erased = erase(ledger_engine(of), privacy_key(of), ids, actor, params["why"] or "")
    log.info("%s", erased)
    return {"erased": len(erased.done), "unknown": len(erased.unknown)}


def forget_old_data(client: str = DEFAULT) -> dict[str, int]:
    """Delete from the ledger what is older than settings.yaml (privacy) says. Returns counts."""
    from o2o_registration.config import load_config
    from o2o_registration.privacy.retention import forget
    from o2o_registration.report import table

    context = get_current_context()
    dry_run = bool(context["params"]["dry_run"])
    with explained(log, client):
        config = load_config(client=client)
        ledger, key = ledger_engine(config.client), privacy_key(config.client)
        counts = forget(ledger, config.settings.privacy, key, context["dag_run"].run_id, dry_run)
    log.info(table("Would be forgotten" if dry_run else "Forgotten", counts))
    return counts


def delete_data_docs(client: str = DEFAULT) -> dict[str, int]:
    """Delete old pages of the folder O2O_DATA_DOCS_DIR. Returns how many; skipped where there is none."""
    from o2o_registration.config import load_config
    from o2o_registration.privacy.retention import forget_pages
    from o2o_registration.report import table

    folder = data_docs(client)
    if folder is None:
        raise AirflowSkipException(f"{DOCS_FOLDER} is not set: there are no pages")
    dry_run = bool(get_current_context()["params"]["dry_run"])
    with explained(log, client):
        days = load_config(client=client).settings.privacy.data_docs_days
        counts = {"pages": forget_pages(folder, days, dry_run)}
    log.info(table("Would be deleted" if dry_run else "Deleted", counts))
    return counts
