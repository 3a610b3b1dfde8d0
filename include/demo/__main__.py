"""`python -m demo`: run, people, mend, stop, status, clean. The Makefile is the usual way to call it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from demo import commands
from demo.console import Reporter
from demo.errors import DemoError, StopRequested
from demo.layout import Layout, Ports


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    reporter = Reporter()
    layout = Layout(run_dir=options.run_dir.absolute())
    command: Callable[[Layout, Reporter, argparse.Namespace], int] = options.command
    try:
        return command(layout, reporter, options)
    except DemoError as error:
        reporter.error(str(error))
        return error.exit_code
    except (StopRequested, KeyboardInterrupt):
        reporter.line("Stopped.")
        return 130


def _run(layout: Layout, reporter: Reporter, options: argparse.Namespace) -> int:
    ports = Ports(options.airflow_port, options.pg_port, options.simulator_port)
    return commands.run(layout, ports, reporter, exit_after_first_run=options.exit_after_first_run)


def _people(layout: Layout, reporter: Reporter, options: argparse.Namespace) -> int:
    return commands.people(layout, reporter, options.count)


def _mend(layout: Layout, reporter: Reporter, _options: argparse.Namespace) -> int:
    return commands.mend(layout, reporter)


def _stop(layout: Layout, reporter: Reporter, _options: argparse.Namespace) -> int:
    return commands.stop(layout, reporter)


def _status(layout: Layout, reporter: Reporter, _options: argparse.Namespace) -> int:
    return commands.status(layout, reporter)


def _clean(layout: Layout, reporter: Reporter, _options: argparse.Namespace) -> int:
    return commands.clean(layout, reporter)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument(
        "--run-dir",
        type=Path,
        default=Path(os.environ.get("O2O_RUN_DIR") or Layout().run_dir),
        help="where data and logs go (O2O_RUN_DIR; default: %(default)s)",
    )
    parsers = parser.add_subparsers(required=True, metavar="COMMAND")
    run = _add(parsers, "run", _run, "start everything, run the DAG once, stay until Ctrl-C")
    defaults = Ports()
    for name, default in (
        ("airflow", defaults.airflow),
        ("pg", defaults.postgres),
        ("simulator", defaults.simulator),
    ):
        variable = f"O2O_{name.upper()}_PORT"
        run.add_argument(
            f"--{name}-port",
            type=_port,
            default=os.environ.get(variable) or str(default),
            help=f"0 picks a free one ({variable}; default: {default})",
        )
    run.add_argument("--exit-after-first-run", action="store_true", help="stop after the first run; 0 if it was good")
    people = _add(parsers, "people", _people, "add interested people to the HR warehouse")
    people.add_argument("--count", type=_count, default=20, help="default: %(default)s")
    _add(parsers, "mend", _mend, "correct the defects of the demo's people in the HR warehouse")
    _add(parsers, "stop", _stop, "stop what `run` started")
    _add(parsers, "status", _status, "say what runs; exit code 3 when nothing does")
    _add(parsers, "clean", _clean, "delete the data and logs of a stopped stack")
    return parser


def _add(
    parsers: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    command: Callable[[Layout, Reporter, argparse.Namespace], int],
    text: str,
) -> argparse.ArgumentParser:
    parser = parsers.add_parser(name, help=text, description=text)
    parser.set_defaults(command=command)
    return parser


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 <= int(text[:6]) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; a port is a number from 0 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:8]) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of people; give one from 1 to 1000000")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
