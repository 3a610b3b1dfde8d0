"""What came of the runs, read from the ledger and from the simulator's mailbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from demo.console import Reporter
from demo.web import call

_NUMBERS = (
    *("extracted", "known", "quarantined", "registered"),
    *("created", "existing", "rejected", "in_doubt", "pending"),
)


@dataclass(frozen=True)
class Outcome:
    registrations: Sequence[tuple[str, int]]
    quarantined: int
    runs: Sequence[tuple[object, ...]]
    calls: int
    mails: int
    people_mailed_more_than_once: int

    @property
    def good(self) -> bool:
        """Whether the promise held: something was registered, and nobody was e-mailed twice."""
        return bool(self.registrations) and self.people_mailed_more_than_once == 0


def read_outcome(ledger_url: str, simulator_url: str, latest_runs: int = 3) -> Outcome:
    registrations, quarantined, runs = _read_ledger(ledger_url, latest_runs)
    mailbox: dict[str, Any] = call("GET", f"{simulator_url}/simulator/summary")
    return Outcome(
        registrations,
        quarantined,
        runs,
        calls=int(mailbox["calls"]),
        mails=int(mailbox["mails"]),
        people_mailed_more_than_once=int(mailbox["people_mailed_more_than_once"]),
    )


def _read_ledger(url: str, latest_runs: int) -> tuple[list[tuple[str, int]], int, list[tuple[object, ...]]]:
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        registrations = connection.execute(
            text("select status, count(*) from o2o.registration group by status order by count(*) desc, status")
        )
        by_status = [(str(status), int(count)) for status, count in registrations]
        quarantined = int(connection.execute(text("select count(*) from o2o.quarantine")).scalar_one())
        runs = connection.execute(
            text("select * from o2o.run_summary order by started_at desc limit :latest"),
            {"latest": latest_runs},
        ).mappings()
        return by_status, quarantined, [(row["run_id"], *(row[name] for name in _NUMBERS)) for row in runs]


def show(outcome: Outcome, reporter: Reporter) -> None:
    rows = [*outcome.registrations, ("quarantined (bad HR rows)", outcome.quarantined)]
    reporter.table("People by what became of them", ("status", "people"), rows)
    names = tuple(name.replace("_", " ") for name in _NUMBERS)
    reporter.table("Latest runs", ("run", *names), outcome.runs)
    reporter.line(
        f"The o2o simulator took {outcome.calls} calls and sent {outcome.mails} mails; "
        f"people mailed more than once: {outcome.people_mailed_more_than_once}."
    )
