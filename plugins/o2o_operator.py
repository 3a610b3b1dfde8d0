"""The operator: calls `user.create` once per person that is due in the ledger."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.http.operators.http import HttpOperator
from o2o_connections import API_CONN_ID, ledger_engine
from o2o_context import employee_ids, explained
from o2o_lineage import Lineage
from o2o_links import RunPageLink
from o2o_registration.clients import DEFAULT

if TYPE_CHECKING:
    from airflow.sdk import Context
    from o2o_hook import O2OHook
    from o2o_registration.delivery import Delivered, Delivery
    from o2o_registration.outbox import Outbox
    from o2o_registration.settings import Settings

ENDPOINT = "receiver/APIv3/user.create"
RECORD_SECONDS = 25.0
"""Time to record the last answers before the task's execution_timeout; calls under way have theirs before."""


class O2OUserCreateOperator(Lineage, HttpOperator):
    """Delivers the ledger's due registrations to o2o and records each answer.

    What is sent comes from the ledger, never from a template or XCom; what is returned are counts. Where o2o asks
    for a long pause one task defers, which holds no worker meanwhile; the others end.

    `client` says whose ledger and settings; `http_conn_id` is that client's, too.

    The DAG's params `employee_ids` (deliver these alone) and `dry_run` (call nobody) are read where they are set.
    """

    template_fields: Sequence[str] = ("endpoint", "http_conn_id")
    ui_color = "#f7e6b5"

    operator_extra_links = (RunPageLink(),)

    def __init__(
        self,
        *,
        endpoint: str = ENDPOINT,
        http_conn_id: str = API_CONN_ID,
        client: str = DEFAULT,
        shard: int = 0,
        shards: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(endpoint=endpoint, http_conn_id=http_conn_id, method="POST", **kwargs)
        self.client = client
        self.shard = shard
        self.shards = shards
        self._delivery: Delivery | None = None
        self._patience: float | None = None
        self._out_of_time = False

    def execute(self, context: Context) -> dict[str, int]:
        """Returns calls by outcome. Raises AirflowFailException where a retry cannot help."""
        return self._run(context, resumes=False)

    def resume(self, context: Context, event: Any = None) -> dict[str, int]:
        """After a deferral: whatever is due by now, by whichever run."""
        return self._run(context, resumes=True)

    def _run(self, context: Context, resumes: bool) -> dict[str, int]:
        from o2o_hook import O2OHook
        from o2o_registration.config import load_config
        from o2o_registration.ledger import check_server
        from o2o_registration.outbox import Outbox
        from o2o_registration.shards import share

        started = time.monotonic()
        params = context["params"]
        if params.get("dry_run"):
            self.log.info("Dry run: nobody is called")
            return {}
        with explained(self.log, self.client):
            config = load_config(client=self.client)
            settings, ledger = share(config.settings, self.shards), ledger_engine(config.client)
            outbox = Outbox(ledger, settings, context["dag_run"].run_id, employee_ids(params))
            hook = O2OHook(self.http_conn_id, settings.api.allowed_hosts)
            check_server(ledger, hook.server(), config.client)
            with self._in_time(started, settings.delivery.call_seconds):
                delivered = self._deliver(hook, outbox, settings)
            self._report(delivered)
            defers = self._defers(delivered, outbox, resumes)
            if not defers and (self._out_of_time or delivered.waiting is not None):
                self.log.warning("%d people stay pending; the next run that may call o2o sends them", outbox.due())
        if defers:
            self._defer_for(delivered.waiting or 0.0)
        return {str(outcome): count for outcome, count in delivered.outcomes.items()}

    def _deliver(self, hook: O2OHook, outbox: Outbox, settings: Settings) -> Delivered:
        from o2o_registration.delivery import deliver

        return deliver(
            outbox,
            lambda: hook.sender(self.endpoint or ENDPOINT, settings.delivery),
            settings,
            self._started,
            self.http_conn_id,
        )

    def _defers(self, delivered: Delivered, outbox: Outbox, resumes: bool) -> bool:
        """Whether this task waits for o2o, which holds one of the few runs that may be active: at most one does, and
        HR goes on being read by the others."""
        if delivered.waiting is None:
            return False
        until = datetime.now(UTC) + timedelta(seconds=delivered.waiting)
        self.log.warning("o2o is left alone until %s UTC: %s", f"{until:%Y-%m-%d %H:%M:%S}", delivered.why)
        was_told = resumes or delivered.calls > 0
        return self.shard == 0 and was_told and not outbox.another_comes_back()

    def on_kill(self) -> None:
        """Stop claiming; calls under way get a few seconds and are recorded, the rest stays pending."""
        from o2o_registration.delivery import STOP_SECONDS

        self._stop(STOP_SECONDS)

    def _stop(self, within: float) -> None:
        self._patience = within
        if self._delivery is not None:
            self._delivery.stop(within)

    def _started(self, delivery: Delivery) -> None:
        self._delivery = delivery
        if self._patience is not None:
            delivery.stop(self._patience)

    @contextmanager
    def _in_time(self, started: float, call_seconds: float) -> Iterator[None]:
        """Within the block the delivery is stopped so early before the task's execution_timeout, whose exception
        would leave it a few seconds only, that calls under way are answered and recorded."""
        if self.execution_timeout is None:
            yield
            return
        limit = self.execution_timeout.total_seconds()
        before = min(call_seconds + RECORD_SECONDS, limit / 10)

        def time_is_up() -> None:
            self.log.warning("Not finished within the task's execution_timeout (%s)", self.execution_timeout)
            self._out_of_time = True
            self._stop(max(before - RECORD_SECONDS, before / 2))

        timer = threading.Timer(limit - before - (time.monotonic() - started), time_is_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _defer_for(self, seconds: float) -> None:
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        moment = datetime.now(UTC) + timedelta(seconds=seconds)
        self.defer(trigger=DateTimeTrigger(moment=moment), method_name="resume")

    def _report(self, delivered: Delivered) -> None:
        from o2o_registration.report import table

        rows: dict[str, object] = {str(outcome): count for outcome, count in sorted(delivered.outcomes.items())}
        rows["calls"] = delivered.calls
        rows["resent out of doubt"] = delivered.resent
        rows["left open by a crash"] = delivered.recovered
        rows["seconds"] = f"{delivered.seconds:.1f}"
        self.log.info(table("Calls to o2o", rows))
