"""What was measured, as tables of ratios from one run."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

DAG = "o2o_register_interested_employees"


def show(console: Console, data: dict[str, Any]) -> None:
    """A table for each part that was measured."""
    if "latency" in data:
        console.print(_latency(data["latency"]), _concurrency(data["concurrency"]))
    if "memory" in data:
        console.print(_memory(data["memory"]))
    if "pipeline" in data:
        console.print(_steps(data["pipeline"]))
    if "size" in data:
        console.print(_size(data["size"]))
    if "scheduled" in data:
        console.print(_idle(data["scheduled"]), _way(data["scheduled"]), _expanded(data))


def _rate(one: dict[str, Any]) -> float:
    return float(one["people"] / one["seconds"])


def _latency(found: list[dict[str, Any]]) -> Table:
    others = {"bare": "bare loop", "dlt_tuned": "dlt, file per worker", "dlt": "dlt", "hook": "HttpHook", "drt": "drt"}
    table = Table("latency", *others.values(), title="Calls per second of this operator, times those of, 64 in flight")
    for latency in sorted({one["latency"] for one in found}):
        rates = {one["who"]: _rate(one) for one in found if one["latency"] == latency}
        ratios = [f"{rates['operator'] / rates[who]:.2f}" if who in rates else "" for who in others]
        table.add_row(f"{latency * 1000:.0f} ms", *ratios)
    return table


def _concurrency(found: list[dict[str, Any]]) -> Table:
    rates = {(one["who"], one["concurrency"]): _rate(one) for one in found}
    table = Table("in flight", "times one at a time", "times the bare loop", title="Concurrency at 50 ms")
    for concurrency in sorted({one["concurrency"] for one in found}):
        rate = rates["operator", concurrency]
        table.add_row(
            str(concurrency), f"{rate / rates['operator', 1]:.1f}", f"{rate / rates['bare', concurrency]:.2f}"
        )
    return table


def _memory(found: list[dict[str, Any]]) -> Table:
    table = Table("people", "peak", "times the first", title="Memory of post_users")
    for one in found:
        table.add_row(f"{one['people']:,}", f"{one['peak']:.0f} MB", f"{one['peak'] / found[0]['peak']:.2f}")
    return table


def _steps(found: list[dict[str, Any]]) -> Table:
    table = Table(
        "people",
        "extract / COPY",
        "check / pandas",
        "build / COPY",
        "the three / the three",
        title="Seconds, times those of",
    )
    for people in sorted({one["people"] for one in found if one["people"] >= 1000}):
        seconds = {one["name"]: one["seconds"] for one in found if one["people"] == people}
        ours = [seconds[name] for name in ("extract", "check", "build")]
        least = [seconds[name] for name in ("copy candidate", "pandas", "copy registration")]
        ratios = [f"{one / other:.1f}" for one, other in zip(ours, least, strict=True)]
        table.add_row(f"{people:,}", *ratios, f"{sum(ours) / sum(least):.1f}")
    return table


def _size(found: list[dict[str, Any]]) -> Table:
    steps = list(found[0]["milliseconds"])
    table = Table("registrations", *steps, "read end to end", title="200 new people: times the smallest ledger")
    for one in found:
        ratios = [f"{one['milliseconds'][step] / found[0]['milliseconds'][step]:.2f}" for step in steps]
        table.add_row(f"{one['registrations']:,}", *ratios, ", ".join(one["reads_all"]))
    return table


def _idle(found: dict[str, Any]) -> Table:
    table = Table("", "this DAG / one empty task", title="An idle run, and parsing")
    ours, empty = found["idle"][DAG], found["idle"]["empty_task"]
    for name in ("cpu", "wall"):
        table.add_row(f"idle run, {name}", f"{ours[name] / empty[name]:.2f}")
    parsing = found["parsing"]
    table.add_row("parsing the file", f"{parsing[DAG] / parsing['empty_task']:.2f}")
    return table


def _expanded(data: dict[str, Any]) -> Table:
    """Where the calls were measured too, beside them."""
    table = Table("", "calls a second", title="One mapped HttpOperator task per call")
    table.add_row("HttpOperator.partial().expand()", f"{data['scheduled']['expanded']:.1f}")
    ours = [_rate(one) for one in data.get("latency", ()) if (one["who"], one["latency"]) == ("operator", 0.05)]
    if ours:
        table.add_row("this operator at 50 ms, times that", f"{ours[0] / data['scheduled']['expanded']:.0f}")
    return table


def _way(found: dict[str, Any]) -> Table:
    way = found["triggered"]
    table = Table("", "seconds", "of the whole", title="From HR's commit to the last of 20 mails, when triggered")
    previous = 0.0
    for name, (start, end) in way["tasks"].items():
        if start > way["seconds"]:
            continue
        table.add_row(f"waiting for {name}", f"{start - previous:.1f}", f"{(start - previous) / way['seconds']:.0%}")
        table.add_row(name, f"{end - start:.1f}", f"{(end - start) / way['seconds']:.0%}")
        previous = end
    table.add_row("in all", f"{way['seconds']:.1f}", "")
    if "by_schedule" in found:
        table.add_row("in all, by the schedule", f"{found['by_schedule']:.1f}", "")
    return table
