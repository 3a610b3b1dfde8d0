"""The table: fault, times injected, employees, calls, lost, mailed twice, in doubt, conservation."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from tests.faults.verdict import Verdict

HEADERS = ("fault (policy)", "injected", "employees", "calls", "lost", "mailed twice", "in doubt", "conservation")


def cells(verdict: Verdict) -> tuple[str, ...]:
    """One row. Second mails are shown beside the repetitions that the policy allowed, each marked in the audit."""
    twice = str(verdict.mailed_twice)
    if verdict.allowed:
        twice += f" of {verdict.allowed} repeated"
    numbers = (verdict.injected, verdict.employees, verdict.calls, verdict.lost)
    holds = "holds" if not verdict.broken else "BROKEN"
    return verdict.fault, *(f"{number:,}" for number in numbers), twice, f"{verdict.in_doubt:,}", holds


def table(verdicts: Sequence[Verdict]) -> Table:
    drawn = Table(title="Faults")
    for number, header in enumerate(HEADERS):
        drawn.add_column(header, justify="left" if number == 0 else "right")
    for verdict in verdicts:
        drawn.add_row(*cells(verdict), style=None if verdict.good else "red")
    return drawn


def line(verdict: Verdict) -> str:
    """A row as a sentence, for when it is done."""
    pairs = zip(HEADERS[1:], cells(verdict)[1:], strict=True)
    return f"{'ok ' if verdict.good else 'BAD'} {verdict.fault}: " + ", ".join(
        f"{name} {value}" for name, value in pairs
    )


def markdown(verdicts: Sequence[Verdict]) -> str:
    rows = [HEADERS, ("---", *["---:"] * (len(HEADERS) - 1)), *(cells(verdict) for verdict in verdicts)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def total(verdicts: Sequence[Verdict]) -> str:
    injected = sum(one.injected for one in verdicts)
    kills = sum(one.injected for one in verdicts if "SIGKILL" in one.fault)
    people = sum(one.employees for one in verdicts)
    lost = sum(one.lost for one in verdicts)
    held = sum(one.mailed_twice for one in verdicts if "(hold)" in one.fault)
    resent = sum(one.mailed_twice for one in verdicts if "(hold)" not in one.fault)
    return (
        f"{injected:,} faults, {kills:,} of them SIGKILLs, {people:,} employees: {lost:,} lost, mailed twice"
        f" {held:,} under hold and {resent:,} under resend."
    )


def why(verdict: Verdict) -> str:
    parts = list(verdict.broken)
    if verdict.lost:
        parts.append(f"{verdict.lost} lost")
    if verdict.mailed_twice > verdict.allowed:
        parts.append(f"{verdict.mailed_twice} mailed twice, {verdict.allowed} allowed")
    return "; ".join(parts)
