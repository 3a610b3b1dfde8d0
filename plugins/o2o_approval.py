"""The mass-mail fuse in the UI: a batch over the limit waits for a person, an ordinary one passes at once."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from o2o_connections import ledger_engine
from o2o_context import explained

if TYPE_CHECKING:
    from airflow.sdk import Context
    from o2o_registration.fuse import Reading

_BODY = """
**{people:,} people** would be e-mailed by o2o for the first time, more than the limit of **{limit:,}**.
{usual} An e-mail cannot be called back.

* **Approve**: they are sent now, at the rate limit.
* **Reject**, or no answer in time: they stay held, and nobody is e-mailed.
"""


class ApproveLargeBatchOperator(ApprovalOperator):
    """Asks only when more people than the fuse allows would be sent; no personal data in the question."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(subject="A large batch waits to be sent to o2o", defaults=self.REJECT, **kwargs)

    def execute(self, context: Context) -> Any:
        from o2o_registration import fuse
        from o2o_registration.config import load_config

        if context["params"]["dry_run"]:
            self.log.info("Dry run: nothing will be sent, so nothing is to approve")
            return None
        with explained(self.log):
            settings = load_config().settings.fuse
            reading = fuse.weigh(ledger_engine(), settings, context["dag_run"].run_id, context["params"]["max_people"])
        if not reading.blown:
            self.log.info("%d people to send, limit %d: no approval needed", reading.people, reading.limit)
            return None
        self.log.warning("%d people to send, limit %d: held until somebody approves", reading.people, reading.limit)
        self.body = _question(reading)
        self.response_timeout = timedelta(hours=settings.answer_hours)
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        from o2o_registration import fuse

        answer = super().execute_complete(context, event)
        if answer["chosen_options"] == [self.APPROVE]:
            user = answer["responded_by_user"] or {}
            with explained(self.log):
                people = fuse.approve(
                    ledger_engine(), context["dag_run"].run_id, str(user.get("name") or user.get("id"))
                )
            self.log.info("%d people approved", people)
        return None


def _question(reading: Reading) -> str:
    usual = "" if reading.usual is None else f"Usually a run has at most {reading.usual:,.0f} (95th percentile)."
    return _BODY.format(people=reading.people, limit=reading.limit, usual=usual)
