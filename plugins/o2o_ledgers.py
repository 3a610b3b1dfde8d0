"""`python -m o2o_ledgers`: brings the ledger of every client to this code's revision, by its Airflow connection."""

from __future__ import annotations

import sys

import o2o_dialects
import sqlalchemy as sa
from o2o_connections import get_connection
from o2o_registration import clients, ledger
from o2o_registration.errors import O2OError, driver_words


def main() -> int:
    """Exit code 2 when a ledger could not be upgraded; the others are all the same."""
    failed = 0
    for client in clients.served():
        try:
            url = o2o_dialects.address(get_connection(client.ledger)).url
            ledger.upgrade(url.render_as_string(hide_password=False))
        except O2OError as error:
            failed = 2
            print(error, file=sys.stderr)
        except sa.exc.DBAPIError as error:
            failed = 2
            print(f"{client.ledger}: PostgreSQL failed ({driver_words(error)}).", file=sys.stderr)
        else:
            print(f"The ledger of the connection '{client.ledger}' is at revision {ledger.revisions()[-1]}.")
    return failed


if __name__ == "__main__":
    sys.exit(main())
