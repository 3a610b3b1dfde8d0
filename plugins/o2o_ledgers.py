"""Ledgers by their Airflow connections, where those are: in a container, on a worker.

`python -m o2o_ledgers` brings every client's ledger to this code's revision. `python -m o2o_ledgers COMMAND ...` is
`python -m o2o_registration COMMAND ...` in one of them, with the client's key for pseudonyms.
"""

from __future__ import annotations

import argparse
import os
import sys

import o2o_dialects
import sqlalchemy as sa
from o2o_connections import get_connection, privacy_key
from o2o_registration import __main__ as commands
from o2o_registration import clients, ledger
from o2o_registration.errors import ConfigurationError, O2OError, driver_words
from o2o_registration.privacy.pseudonyms import KEY


def main(arguments: list[str] | None = None) -> int:
    """Exit code 2 for a mistake that the message names, also in one ledger of several."""
    parser = argparse.ArgumentParser(prog="python -m o2o_ledgers", description=__doc__)
    parser.add_argument("--client", help="whose ledger, where there are several")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="one of python -m o2o_registration --help")
    options = parser.parse_args(arguments)
    if not options.command:
        return _upgrade_all()
    try:
        return _in_one(_client(options.client), options.command)
    except O2OError as error:
        print(error, file=sys.stderr)
        return 2


def _upgrade_all() -> int:
    failed = 0
    for client in clients.served():
        try:
            ledger.upgrade(_url(client))
        except O2OError as error:
            failed = 2
            print(error, file=sys.stderr)
        except sa.exc.DBAPIError as error:
            failed = 2
            print(f"{client.ledger}: PostgreSQL failed ({driver_words(error)}).", file=sys.stderr)
        else:
            print(f"The ledger of the connection '{client.ledger}' is at revision {ledger.revisions()[-1]}.")
    return failed


def _in_one(client: clients.Client, command: list[str]) -> int:
    os.environ[commands.URL] = _url(client)
    if key := privacy_key(client):
        os.environ[KEY] = key
    # the user of a container or a service is nobody who decides
    return commands.main(command, who="")


def _client(name: str | None) -> clients.Client:
    served = {one.name: one for one in clients.served()}
    if name in served:
        return served[name]
    if name is None and len(served) == 1:
        return next(iter(served.values()))
    raise ConfigurationError(f"Say whose ledger: --client with one of {', '.join(served) or 'none that fits'}.")


def _url(client: clients.Client) -> str:
    return o2o_dialects.address(get_connection(client.ledger)).url.render_as_string(hide_password=False)


if __name__ == "__main__":
    sys.exit(main())
