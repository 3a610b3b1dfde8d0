"""The picture of docs/performance.md."""

from __future__ import annotations

from pathlib import Path

from benchmarks.post import Measured

NAMES = {"bare": "bare aiohttp loop", "operator": "this operator", "hook": "HttpHook.run in a loop"}


def draw(by_latency: list[Measured], by_concurrency: list[Measured], path: Path) -> None:
    """Calls per second over latency and over concurrency, as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for who, name in NAMES.items():
        mine = [one for one in by_latency if one.who == who]
        left.plot([one.latency * 1000 for one in mine], [one.rate for one in mine], marker="o", label=name)
        mine = [one for one in by_concurrency if one.who == who]
        right.plot([one.concurrency for one in mine], [one.rate for one in mine], marker="o", label=name)
    left.set(title="64 in flight", xlabel="latency of o2o (ms)", ylabel="calls per second", yscale="log")
    right.set(title="50 ms", xlabel="calls in flight", xscale="log", yscale="log")
    left.legend()
    figure.savefig(path, dpi=110)
