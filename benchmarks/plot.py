"""The pictures of docs/performance.md, drawn from docs/performance.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

NAMES = {
    "bare": "bare aiohttp loop",
    "operator": "this operator",
    "dlt_tuned": "dlt, a file per worker",
    "dlt": "dlt as it comes",
    "hook": "HttpHook.run in a loop",
    "drt": "drt rest_api",
}
STEPS = ("extract", "check", "build", "approve", "post", "load")


def draw(data: dict[str, Any], path: Path) -> None:
    """Four plots in one PNG."""
    figure = Figure(figsize=(11, 8), layout="constrained")
    axes = figure.subplots(2, 2)
    _latency(axes[0][0], data["latency"])
    _concurrency(axes[0][1], data["concurrency"])
    _growth(axes[1][0], data["pipeline"])
    _size(axes[1][1], data["size"])
    figure.savefig(path, dpi=110)


def _latency(axes: Axes, found: list[dict[str, Any]]) -> None:
    for who, name in NAMES.items():
        mine = [one for one in found if one["who"] == who]
        axes.plot(
            [one["latency"] * 1000 for one in mine], [one["people"] / one["seconds"] for one in mine], "o-", label=name
        )
    axes.set(title="Calls per second, 64 in flight", xlabel="latency of the API (ms)", yscale="log")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)


def _concurrency(axes: Axes, found: list[dict[str, Any]]) -> None:
    for who in ("bare", "operator"):
        mine = [one for one in found if one["who"] == who]
        axes.plot(
            [one["concurrency"] for one in mine],
            [one["people"] / one["seconds"] for one in mine],
            "o-",
            label=NAMES[who],
        )
    axes.set(title="Calls per second at 50 ms", xlabel="calls in flight", xscale="log", yscale="log")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)


def _growth(axes: Axes, found: list[dict[str, Any]]) -> None:
    for step in STEPS:
        mine = [one for one in found if one["name"] == step]
        axes.plot([one["people"] for one in mine], [one["seconds"] for one in mine], "o-", label=step)
    axes.set(title="Seconds of each step", xlabel="new people in the run", xscale="log", yscale="log")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)


def _size(axes: Axes, found: list[dict[str, Any]]) -> None:
    for step in found[0]["milliseconds"]:
        axes.plot(
            [one["registrations"] for one in found], [one["milliseconds"][step] for one in found], "o-", label=step
        )
    axes.set(title="Milliseconds for 200 new people", xlabel="registrations in the ledger", xscale="log", yscale="log")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
