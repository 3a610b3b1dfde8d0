"""The ledger from the command line: create it, see who waits for a decision, decide, erase and export people.

The environment variable O2O_LEDGER_URL names the ledger, as in postgresql://user:password@host/database.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys

import sqlalchemy as sa

from o2o_registration import actions, clients, ledger
from o2o_registration.actions import Action, Order
from o2o_registration.api import server_name
from o2o_registration.errors import ConfigurationError, O2OError, driver_words
from o2o_registration.privacy import commands as privacy

URL = "O2O_LEDGER_URL"
_ORDERS = {
    "confirm": (Action.CONFIRM, "o2o has these people, who are in doubt or held: never send them again"),
    "release": (Action.RELEASE, "o2o does not have these people in doubt: the next run sends them again"),
    "retry": (Action.RETRY, "send people again whom o2o refused, though HR did not change their rows"),
    "hold": (Action.HOLD, "send none of these pending people until somebody approves or confirms them"),
    "approve": (Action.APPROVE, "send people whom a rejected or unanswered approval left held"),
}
_LISTS = {
    "in-doubt": ("in_doubt", "list who is in doubt: a call was made and its fate is not known"),
    "held": ("held", "list who is held by the mass-mail fuse"),
}


def main(arguments: list[str] | None = None, who: str | None = None) -> int:
    """Exit code 2 for a mistake that the message names. `who` decides where --who does not say; '' demands --who."""
    options = _parser(getpass.getuser() if who is None else who).parse_args(arguments)
    url = os.environ.get(URL)
    if not url:
        print(f"Set {URL} to the ledger's address, as in postgresql://user:password@host/database.", file=sys.stderr)
        return 2
    try:
        return _run(options, url)
    except (O2OError, sa.exc.ArgumentError) as error:
        print(error, file=sys.stderr)
    except sa.exc.DBAPIError as error:
        print(f"{URL}: PostgreSQL failed ({driver_words(error)}).", file=sys.stderr)
    return 2


def _parser(who: str = "") -> argparse.ArgumentParser:
    decider = argparse.ArgumentParser(add_help=False)
    known = f" ({who})" if who else ""
    decider.add_argument("--who", default=who, required=not who, help=f"who decided{known}, kept in the audit")
    parser = argparse.ArgumentParser(prog="python -m o2o_registration", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("upgrade", help="create the ledger, or bring it to this code's revision")
    back = commands.add_parser("downgrade", help="take the ledger back to an older revision, if that loses nothing")
    back.add_argument("revision", metavar="REVISION", help=f"one of {', '.join(ledger.revisions())}")
    whose = commands.add_parser("owner", help="say whose people are in the ledger, or make it another client's")
    whose.add_argument("client", nargs="?", help=f"the new owner; '{clients.DEFAULT}' where there are no client files")
    at = commands.add_parser("server", help="say at which of o2o's servers the ledger's people are")
    at.add_argument("host", nargs="?", help="another name of the same o2o, as a company's gateway has one")
    for name, (_, words) in _LISTS.items():
        commands.add_parser(name, help=words)
    for name, (_, words) in _ORDERS.items():
        command = commands.add_parser(name, help=words, parents=[decider])
        whom = command.add_mutually_exclusive_group(required=True)
        whom.add_argument("employee_ids", nargs="*", default=[], metavar="EMPLOYEE_ID")
        whom.add_argument("--all", action="store_true", help="all whom it can concern")
        command.add_argument("--why", required=True, help="the reason, kept in the audit")
    privacy.add(commands, decider)
    return parser


def _run(options: argparse.Namespace, url: str) -> int:
    if options.command == "upgrade":
        ledger.upgrade(url)
        print("The ledger is up to date.")
        return 0
    if options.command == "downgrade":
        ledger.downgrade(url, options.revision)
        print(f"The ledger is at revision {options.revision}.")
        return 0
    engine = ledger.connect(url)
    try:
        ledger.check_version(engine)
        if options.command == "owner":
            _owner(engine, options.client)
        elif options.command == "server":
            _server(engine, options.host)
        elif options.command in _LISTS:
            _list(engine, _LISTS[options.command][0])
        elif privacy.handles(options.command):
            return privacy.run(options, engine)
        else:
            order = Order(_ORDERS[options.command][0], tuple(options.employee_ids), options.who, options.why)
            print(actions.concerns(order, actions.carry_out(engine, order)))
    finally:
        engine.dispose()
    return 0


def _owner(engine: sa.Engine, client: str | None) -> None:
    with engine.begin() as connection:
        if client is not None and not clients.fits(client):
            raise ConfigurationError(f"'{client}' owns nothing: {clients.NAMES}.")
        if client is not None:
            ledger.hand_over(connection, client)
        print(ledger.owner(connection) or "nobody's yet: the first run makes it its client's")


def _server(engine: sa.Engine, host: str | None) -> None:
    with engine.begin() as connection:
        if host is not None:
            ledger.is_at(connection, server_name(host))
        print(ledger.server(connection) or "none yet: the first call says it")


def _list(engine: sa.Engine, status: str) -> None:
    people = actions.waiting(engine, status)
    for one in people:
        print(f"{one.employee_id}\t{one.since:%Y-%m-%d %H:%M} UTC\t{one.calls} calls\t{one.detail}")
    print(f"{len(people):,} people {status.replace('_', ' ')}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
