"""`make bench`: measures side by side, prints tables of ratios, writes the plot and its data."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import plot, post
from benchmarks.post import Bench, Measured
from tests.faults.__main__ import servers

DOCS = Path(__file__).resolve().parents[1] / "docs"


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=6, help="how long each contender calls, about")
    parser.add_argument("--people", type=int, nargs="*", default=[10_000], help="sizes to take the memory at")
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of performance.png and performance.json")
    options = parser.parse_args()
    console = Console()
    with servers() as (postgres, folder):
        bench = Bench(postgres, folder)

        def say(one: Measured) -> None:
            console.print(
                f"  {one.who:<9} {one.latency * 1000:>4.0f} ms, {one.concurrency:>3} in flight:"
                f" {one.people:,} calls in {one.seconds:.1f} s",
                highlight=False,
            )

        by_latency = post.latencies(bench, options.seconds, say)
        by_concurrency = post.concurrencies(bench, options.seconds, say)
        memory = [bench.run("operator", 0, 64, people) for people in options.people]
    console.print(_ratios(by_latency), _scaling(by_concurrency), _memory(memory))
    data = {"latency": by_latency, "concurrency": by_concurrency, "memory": memory}
    text = json.dumps({name: [asdict(one) for one in found] for name, found in data.items()}, indent=1)
    (options.out / "performance.json").write_text(text + "\n")
    plot.draw(by_latency, by_concurrency, options.out / "performance.png")
    console.print(f"Plot and data: {options.out}/performance.png, .json", highlight=False)


def _ratios(found: list[Measured]) -> Table:
    table = Table("latency", "operator / bare loop", "operator / HttpHook.run", title="Calls per second, 64 in flight")
    for latency in post.LATENCIES:
        rate = {one.who: one.rate for one in found if one.latency == latency}
        ratios = (rate["operator"] / rate["bare"], rate["operator"] / rate["hook"])
        table.add_row(f"{latency * 1000:.0f} ms", f"{ratios[0]:.2f}", f"{ratios[1]:.0f}")
    return table


def _scaling(found: list[Measured]) -> Table:
    rates = {(one.who, one.concurrency): one.rate for one in found}
    table = Table("in flight", "times one at a time", "operator / bare loop", title="Concurrency at 50 ms")
    for concurrency in post.CONCURRENCIES:
        rate = rates["operator", concurrency]
        table.add_row(
            str(concurrency), f"{rate / rates['operator', 1]:.1f}", f"{rate / rates['bare', concurrency]:.2f}"
        )
    return table


def _memory(found: list[Measured]) -> Table:
    table = Table("people", "peak", "of the smallest", title="Memory of the post task")
    for one in found:
        table.add_row(f"{one.people:,}", f"{one.peak:.0f} MB", f"{one.peak / found[0].peak:.2f}")
    return table


if __name__ == "__main__":
    main()
