"""`make faults`: injects every fault, prints a table, and fails when a rule is broken."""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
import time
import traceback
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from demo.postgres import PostgresServer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tests.faults import report
from tests.faults.scenarios import LONG, SCENARIOS, SHORT, Scenario, Size
from tests.faults.verdict import Verdict, judge
from tests.faults.world import World, world


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 when a promise was broken."""
    options = _parser().parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 160)
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    chosen = [one for one in SCENARIOS if options.only in one.title and (one.short or not options.short)]
    if not chosen:
        names = "\n  ".join(one.title for one in SCENARIOS)
        console.print(f"No fault is called like '{options.only}'. There are:\n  {names}", highlight=False)
        return 2
    started = time.monotonic()
    with servers() as (postgres, folder):
        verdicts = _play_all(console, chosen, SHORT if options.short else LONG, seed, postgres, folder)
        bad = [one for one in verdicts if not one.good]
        console.print(report.table(verdicts))
        minutes = (time.monotonic() - started) / 60
        console.print(f"{report.total(verdicts)} Seed {seed}, {minutes:.0f} minutes.", highlight=False)
        if options.markdown:
            _write(options.markdown, verdicts, seed)
        if bad:
            console.print(*(f"BROKEN: {one.fault}: {report.why(one)}" for one in bad), sep="\n", style="red")
    return 1 if bad else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, help="of everything random but the timing; printed with the table")
    parser.add_argument("--short", action="store_true", help="the form that `make test` runs")
    parser.add_argument("--only", default="", help="the faults whose name has this in it")
    parser.add_argument("--markdown", type=Path, help="write the table to this file, too")
    return parser


def _play_all(
    console: Console, scenarios: list[Scenario], size: Size, seed: int, postgres: PostgresServer, folder: Path
) -> list[Verdict]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    verdicts = []
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=len(scenarios))
        for scenario in scenarios:
            progress.update(bar, description=scenario.title)
            verdict = play(scenario, size, seed, postgres, folder)
            verdicts.append(verdict)
            progress.advance(bar)
            console.print(report.line(verdict), highlight=False)
    return verdicts


@contextlib.contextmanager
def servers() -> Iterator[tuple[PostgresServer, Path]]:
    """A PostgreSQL and a folder for the whole harness."""
    with tempfile.TemporaryDirectory(prefix="o2o-faults-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        folder.chmod(0o755)
        postgres = PostgresServer(folder / "postgres", fsync=False)
        with postgres:
            yield postgres, folder
        postgres.destroy()


def play(
    scenario: Scenario, size: Size, seed: int, postgres: PostgresServer, folder: Path, sabotage: str | None = None
) -> Verdict:
    """One scenario in a world of its own. What breaks off is a broken promise, with the reason."""
    # a scenario's dice are its own, so that one alone rolls as it does among all
    own = seed ^ zlib.crc32(scenario.title.encode())
    with world(postgres, folder, own) as place:
        place.sabotage = sabotage
        place.settings(in_doubt={"policy": scenario.policy})
        try:
            return judge(place, scenario.title, scenario.play(place, size))
        except Exception as error:  # noqa: BLE001 - the other scenarios go on
            traceback.print_exc()
            return _broken(place, scenario.title, error)


def _broken(place: World, title: str, error: Exception) -> Verdict:
    people = len(place.expected)
    words = f"{type(error).__name__}: {error}"
    return Verdict(title, 0, people, place.simulator.summary().calls, 0, 0, 0, 0, (words,))


def _write(path: Path, verdicts: list[Verdict], seed: int) -> None:
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    path.write_text(f"`make faults` of {today}, seed {seed}. {report.total(verdicts)}\n\n{report.markdown(verdicts)}")


if __name__ == "__main__":
    sys.exit(main())
