"""`python -m o2o_registration upgrade`: create the ledger, or bring it to this code's revision."""

from __future__ import annotations

import argparse
import os
import sys

import sqlalchemy as sa

from o2o_registration import ledger
from o2o_registration.errors import O2OError

URL = "O2O_LEDGER_URL"


def main(arguments: list[str] | None = None) -> int:
    """Exit code 2 for a mistake that the message names."""
    parser = argparse.ArgumentParser(prog="python -m o2o_registration", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("upgrade", help=f"create or upgrade the ledger that the environment variable {URL} names")
    parser.parse_args(arguments)
    url = os.environ.get(URL)
    if not url:
        print(f"Set {URL} to the ledger's address, as in postgresql://user:password@host/database.", file=sys.stderr)
        return 2
    try:
        ledger.upgrade(url)
    except (O2OError, sa.exc.ArgumentError) as error:
        print(error, file=sys.stderr)
        return 2
    except sa.exc.OperationalError as error:
        print(f"{URL}: PostgreSQL cannot be reached ({str(error.orig).splitlines()[0]}).", file=sys.stderr)
        return 2
    print("The ledger is up to date.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
