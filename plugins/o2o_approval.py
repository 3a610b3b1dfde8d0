"""The mass-mail fuse in the UI: a batch over the limit waits for a person, an ordinary one passes at once.

What it returns says how many `post_users` tasks share the batch.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from o2o_connections import ledger_engine
from o2o_context import employee_ids, explained
from o2o_registration.clients import DEFAULT

if TYPE_CHECKING:
    from airflow.sdk import Context
    from o2o_registration.fuse import Reading

_BODY = """
**{total:,} people** would be e-mailed by o2o. {why}
{usual} An e-mail cannot be called back.

* **Approve**: they are sent now, at the rate limit.
* **Reject**, or no answer within {hours:g} hours: they stay held, and none of them is e-mailed. New people
  are registered meanwhile.
"""


class ApproveLargeBatchOperator(ApprovalOperator):
    """Asks only when more people than the fuse allows would be sent; no personal data in the question."""

    def __init__(self, *, client: str = DEFAULT, **kwargs: Any) -> None:
        whose = "" if client == DEFAULT else f" for {client}"
        super().__init__(subject=f"A large batch waits to be sent to o2o{whose}", defaults=self.REJECT, **kwargs)
        self.client = client

    def execute(self, context: Context) -> Any:
        from o2o_registration import fuse
        from o2o_registration.config import load_config

        if context["params"]["dry_run"]:
            self.log.info("Dry run: nothing will be sent, so nothing is to approve")
            return self._shards(context)
        with explained(self.log, self.client):
            config = load_config(client=self.client)
            settings, ledger = config.settings.fuse, ledger_engine(config.client)
            reading = fuse.weigh(ledger, settings, context["dag_run"].run_id, context["params"]["max_people"])
        if not reading.asks:
            self.log.info("%d people to send, limit %d: no approval needed", reading.people, reading.limit)
            return self._shards(context)
        self.body = _question(reading, settings.answer_hours)
        self.log.warning("%d people are held until somebody approves", _total(reading))
        self.response_timeout = timedelta(hours=settings.answer_hours)
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Carry out the answer first: a retry asks again, an answer that was taken and lost would not."""
        with explained(self.log, self.client):
            self._carry_out(context["dag_run"].run_id, event)
        super().execute_complete(context, event)
        return self._shards(context)

    def _shards(self, context: Context) -> list[dict[str, int]]:
        """How `post_users` is mapped: one task, or several that share a large batch."""
        from o2o_registration import shards
        from o2o_registration.config import load_config
        from o2o_registration.outbox import Outbox

        with explained(self.log, self.client):
            config = load_config(client=self.client)
            settings, ledger = config.settings, ledger_engine(config.client)
            people = Outbox(ledger, settings, context["dag_run"].run_id, employee_ids(context["params"])).due()
            found = shards.plan(people, settings.delivery)
        if len(found) > 1:
            self.log.info("%d people: shared by %d post_users tasks", people, len(found))
        return [asdict(one) for one in found]

    def _carry_out(self, run_id: str, event: dict[str, Any]) -> None:
        from o2o_registration import fuse
        from o2o_registration.config import load_config

        ledger = ledger_engine(load_config(client=self.client).client)
        user = event.get("responded_by_user") or {}
        actor = user.get("name") or user.get("id")
        if event.get("chosen_options") == [self.APPROVE]:
            self.log.info("%d people approved", fuse.approve(ledger, run_id, str(actor)))
            return
        why = "large batch rejected" if actor else "nobody answered whether to send the large batch"
        people = fuse.reject(ledger, run_id, str(actor or "pipeline"), why)
        self.log.warning(
            "%d people stay held (%s). They are asked about again when HR changes one of them or a batch is too"
            " large; to send them now, trigger a run with the action 'approve held'.",
            people,
            why,
        )


def _total(reading: Reading) -> int:
    return (reading.people if reading.blown else 0) + reading.changed + reading.held_before


def _question(reading: Reading, hours: float) -> str:
    held = reading.changed + reading.held_before
    parts = [f"{reading.people:,} are new, more than the limit of **{reading.limit:,}**."] if reading.blown else []
    parts += [f"{held:,} were held before, by hand or by a question that nobody approved."] if held else []
    usual = "" if reading.usual is None else f"Usually a run has at most {reading.usual:,.0f} (95th percentile)."
    return _BODY.format(total=_total(reading), why=" ".join(parts), usual=usual, hours=hours)
