"""The command line's part in privacy: erase, lift an erasure, export."""

from __future__ import annotations

# ruff: noqa: T201 - what it says, it says on a terminal
import argparse
import os
import sys
from pathlib import Path

import sqlalchemy as sa

from o2o_registration.errors import ConfigurationError
from o2o_registration.privacy import erasure, export
from o2o_registration.privacy.pseudonyms import KEY

_COMMANDS = {
    "erase": "delete all that is held on these people, and never call them again",
    "lift": "let erased people be registered again: they asked for it",
    "export": "write all that is held on these people to a file",
}


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], decider: argparse.ArgumentParser) -> None:
    """`decider` has the options that every decision takes."""
    for name, words in _COMMANDS.items():
        description = f"{words}. {KEY} holds the key for pseudonyms."
        command = commands.add_parser(name, help=words, description=description, parents=[decider])
        command.add_argument("employee_ids", nargs="*", default=[], metavar="EMPLOYEE_ID")
        if name != "lift":
            command.add_argument(
                "--email",
                choices=["-"],
                help="read an e-mail address from standard input: arguments are seen by others",
            )
        if name == "export":
            command.add_argument("--out", type=Path, required=True, help="a new file, which only you can read")
        command.add_argument(
            "--why", required=name != "export", default="on request", help="the reason, kept in the audit"
        )


def handles(command: str) -> bool:
    return command in _COMMANDS


def run(options: argparse.Namespace, ledger: sa.Engine) -> int:
    """Exit code 1 when nothing was held or done."""
    key = os.environ.get(KEY)
    ids = tuple(options.employee_ids) + _by_address(options, ledger, key)
    if not ids:
        raise ConfigurationError("Nobody is named, or nothing is held for this e-mail address.")
    if options.command == "erase":
        erased = erasure.erase(ledger, key, ids, options.who, options.why)
        print(erased.in_full())
        return 0 if erased.done else 1
    if options.command == "lift":
        lifted = erasure.lift(ledger, key, ids, options.who, options.why)
        print(f"lifted {len(lifted):,} erasures; a run that names these employees sends them")
        return 0 if lifted else 1
    if options.out.exists():
        raise ConfigurationError(f"{options.out} is there already: name a new file with --out.")
    document = export.collect(ledger, key, ids, options.who, options.why)
    export.write(document, options.out)
    for one in document["people"]:
        print(f"{one['employee_id']}: {sum(map(len, one['rows'].values())):,} rows")
    return 0


def _by_address(options: argparse.Namespace, ledger: sa.Engine, key: str | None) -> tuple[str, ...]:
    if not getattr(options, "email", None):
        return ()
    return erasure.employees_of(ledger, key, sys.stdin.readline())
