"""What the user sees: a spinner and a clock on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table


class Step(Protocol):
    def update(self, detail: str) -> None:
        """Say what is going on inside of the step."""


class Reporter:
    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)

    @property
    def _lively(self) -> bool:
        return self._console.is_terminal

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show that something is going on, then how long it took."""
        begin = time.monotonic()
        if self._lively:
            with _spinner(self._console, title) as step:
                yield step
            self._console.print(f"[green]✓[/] {escape(title)} [dim]{time.monotonic() - begin:.1f} s[/]")
        else:
            self.line(f"{title} ...")
            yield _PlainStep(self)
            self.line(f"{title}: done ({time.monotonic() - begin:.1f} s)")

    def line(self, text: str = "") -> None:
        self._print(text)

    def warn(self, text: str) -> None:
        self._print(text, style="yellow")

    def error(self, text: str) -> None:
        Console(stderr=True, highlight=False).print(text, style="red", markup=False, soft_wrap=True)

    def _print(self, text: str, style: str | None = None) -> None:
        self._console.print(text, style=style, markup=False, soft_wrap=True)
        sys.stdout.flush()

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        if self._lively:
            table = Table(title=escape(title), box=SIMPLE_HEAD, title_justify="left", title_style="bold")
            for number, column in enumerate(columns):
                table.add_column(column, justify="right" if number else "left")
            for row in rows:
                table.add_row(*(escape(str(value)) for value in row))
            self._console.print(table)
            return
        lines = [list(columns), *([str(value) for value in row] for row in rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(columns))]
        self.line(f"{title}:")
        for line in lines:
            first, *others = (
                value.rjust(width) if number else value.ljust(width)
                for number, (value, width) in enumerate(zip(line, widths, strict=True))
            )
            self.line("  " + "  ".join([first, *others]))


class _PlainStep:
    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._last = ""

    def update(self, detail: str) -> None:
        if detail != self._last:
            self._reporter.line(f"  {detail}")
            self._last = detail


class _LivelyStep:
    def __init__(self, progress: Progress, task: TaskID, title: str) -> None:
        self._progress = progress
        self._task = task
        self._title = title

    def update(self, detail: str) -> None:
        self._progress.update(self._task, description=escape(f"{self._title}: {detail}"))


@contextmanager
def _spinner(console: Console, title: str) -> Iterator[Step]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield _LivelyStep(progress, progress.add_task(escape(title), total=None), title)
