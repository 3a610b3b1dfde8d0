"""`make bench`: measures side by side, prints tables of ratios, writes the plot and its data."""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from demo.postgres import PostgresServer
from rich.console import Console

from benchmarks import pipeline, post, scheduled, size, tables
from benchmarks.post import Bench

DOCS = Path(__file__).resolve().parents[1] / "docs"


@dataclass(frozen=True)
class Form:
    """How much is measured. `seconds`: how long each contender calls, about."""

    seconds: float
    memory: tuple[int, ...]
    people: tuple[int, ...]
    registrations: tuple[int, ...]
    expanded: int
    wait_for_schedule: bool


SHORT = Form(8, (10_000, 100_000), (1, 100, 1000, 10_000, 100_000), (10_000, 100_000, 300_000), 20, False)
FULL = Form(
    15,
    (10_000, 1_000_000),
    (1, 100, 1000, 10_000, 100_000, 250_000, 500_000, 1_000_000),
    (10_000, 100_000, 1_000_000, 10_000_000),
    100,
    True,
)
PARTS = ("post", "memory", "pipeline", "size", "scheduled")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "--full", action="store_true", help="the large sizes: a million people, ten million registrations"
    )
    parser.add_argument("--only", choices=PARTS, nargs="*", default=PARTS, help="these parts alone")
    parser.add_argument("--python", default=sys.executable, help="the Python that has dlt, drt and matplotlib")
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of performance.png and performance.json")
    options = parser.parse_args()
    console = Console(highlight=False)
    file = options.out / "performance.json"
    # a part that is measured alone keeps what the others found
    data: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    started = time.monotonic()
    with postgres() as (server, folder):
        for part in options.only:
            console.rule(part)
            data |= _PARTS[part](server, folder, FULL if options.full else SHORT, options.python, console)
            file.write_text(json.dumps(data, indent=1) + "\n")
    tables.show(console, data)
    picture = options.out / "performance.png"
    subprocess.run([options.python, "-m", "benchmarks.plot", str(file), str(picture)], check=True)
    console.print(f"{(time.monotonic() - started) / 60:.0f} minutes. Plot: {picture}, data: {file}")


@contextlib.contextmanager
def postgres() -> Iterator[tuple[PostgresServer, Path]]:
    """A PostgreSQL that keeps what it commits, as in production, and a folder."""
    with tempfile.TemporaryDirectory(prefix="o2o-bench-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        folder.chmod(0o755)
        server = PostgresServer(folder / "postgres")
        with server:
            yield server, folder


def _post(server: PostgresServer, folder: Path, form: Form, python: str, console: Console) -> dict[str, Any]:
    bench = Bench(server, folder, python)

    def say(one: post.Measured) -> None:
        console.print(
            f"  {one.who:<9} {one.latency * 1000:>4.0f} ms, {one.concurrency:>3} in flight:"
            f" {one.people:,} calls, {one.rate:,.0f} a second"
        )

    return {
        "latency": [asdict(one) for one in post.latencies(bench, form.seconds, say)],
        "concurrency": [asdict(one) for one in post.concurrencies(bench, form.seconds, say)],
    }


def _memory(server: PostgresServer, folder: Path, form: Form, python: str, console: Console) -> dict[str, Any]:
    bench = Bench(server, folder, python)
    found = []
    for people in form.memory:
        found.append(bench.run("operator", 0, 64, people))
        console.print(f"  {people:,} people: {found[-1].peak:.0f} MB")
    return {"memory": [asdict(one) for one in found]}


def _pipeline(server: PostgresServer, folder: Path, form: Form, python: str, console: Console) -> dict[str, Any]:
    def say(one: pipeline.Step) -> None:
        console.print(f"  {one.name:<17} {one.people:>9,} people: {one.seconds:.2f} s, {one.peak:.0f} MB")

    found = [step for people in form.people for step in pipeline.run(server, folder, people, say)]
    return {"pipeline": [asdict(one) for one in found]}


def _size(server: PostgresServer, folder: Path, form: Form, python: str, console: Console) -> dict[str, Any]:
    def say(one: size.Cost) -> None:
        parts = ", ".join(f"{name} {milliseconds:.0f}" for name, milliseconds in one.milliseconds.items())
        console.print(f"  {one.registrations:>10,} registrations, milliseconds: {parts}")

    return {"size": [asdict(one) for one in size.measure(server, folder, list(form.registrations), say)]}


def _scheduled(server: PostgresServer, folder: Path, form: Form, python: str, console: Console) -> dict[str, Any]:
    with scheduled.airflow(folder, form.expanded) as airflow:
        console.print("  Airflow is up; parsing, idle runs")
        found: dict[str, Any] = {"parsing": scheduled.parsing(airflow, 7)}
        found["idle"] = scheduled.summary(scheduled.idle(airflow, 7))
        seconds, run = scheduled.triggered(airflow)
        found["triggered"] = {"seconds": seconds, "tasks": run.tasks}
        console.print("  one HttpOperator task per call")
        found["expanded"] = scheduled.expanded(airflow, form.expanded)
        if form.wait_for_schedule:
            console.print("  waiting for the schedule")
            found["by_schedule"] = scheduled.by_schedule(airflow)
    return {"scheduled": found}


_PARTS = {"post": _post, "memory": _memory, "pipeline": _pipeline, "size": _size, "scheduled": _scheduled}

if __name__ == "__main__":
    main()
