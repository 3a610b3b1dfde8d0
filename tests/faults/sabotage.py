"""The code with one rule taken out: a harness that would not notice proves nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa


@dataclass(frozen=True)
class Sabotage:
    """`apply` runs in each task's process; the scenario `caught_by` must say `words`."""

    apply: Callable[[], None]
    caught_by: str
    words: str


def _rewrite(old: str, new: str) -> Callable[[], None]:
    """Every statement that has `old` in it gets `new` instead."""

    def apply() -> None:
        def rewritten(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
            return statement.replace(old, new), parameters

        sa.event.listen(sa.Engine, "before_cursor_execute", rewritten, retval=True)

    return apply


def _call_before_commit() -> None:
    """The intent is rolled back, and the call is made all the same."""
    from o2o_registration.outbox import Outbox

    real = Outbox.claim

    def sabotaged(self: Any, *arguments: Any) -> Any:
        claim = real(self, *arguments)
        with self._ledger.begin() as connection:
            for intent in claim.intents:
                connection.execute(sa.text("delete from o2o.attempt where id = :id"), {"id": intent.attempt_id})
        return claim

    Outbox.claim = sabotaged  # type: ignore[method-assign]


def _no_lookback() -> None:
    from o2o_registration.settings import WindowSettings

    WindowSettings.lookback = property(lambda _: timedelta(0))  # type: ignore[method-assign,assignment]


SABOTAGES = {
    "no intent before the call": Sabotage(
        _call_before_commit, "overlapping runs (hold)", "people called without an attempt"
    ),
    "open attempts are called again": Sabotage(
        _rewrite("set status = 'in_doubt', detail = 'left open", "set status = 'pending', detail = 'left open"),
        "SIGKILL before recording (hold)",
        "mailed twice",
    ),
    "no lookback": Sabotage(
        _no_lookback,
        "late rows, failed run, three days down (hold)",
        "employees that the ledger does not know",
    ),
}
