"""``python -m o2o_simulator``: the stand-in for o2o as a program."""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import signal
import ssl
import sys
from pathlib import Path

from o2o_simulator.errors import SimulatorError
from o2o_simulator.registration import DEMO_BIKE_PLANS
from o2o_simulator.server import USER_CREATE_PATH, Simulator

TOKEN_VARIABLE = "O2O_SIMULATOR_TOKEN"


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; the exit code, 2 when it could not start."""
    parser = _parser()
    options = parser.parse_args(arguments)
    simulator = Simulator(
        _token(parser),
        host=options.host,
        port=options.port,
        bike_plans=options.bike_plans,
        base_latency=options.latency,
        journal=options.journal,
        tls=_tls(parser, options),
    )
    try:
        asyncio.run(_serve(simulator))
    except SimulatorError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return 0


async def _serve(simulator: Simulator) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with simulator:
        print(f"o2o simulator: mailbox {simulator.url}/  calls {simulator.url}{USER_CREATE_PATH}", flush=True)
        await stop.wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="o2o_simulator",
        description="A stand-in for o2o's server with a mailbox and faults on demand. No e-mail leaves it.",
        epilog=f"The bearer token that callers must send is read from {TOKEN_VARIABLE}.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=8090, help="0 picks a free one (default: %(default)s)")
    parser.add_argument("--journal", type=Path, metavar="PATH", help="file to remember mails and calls in")
    parser.add_argument(
        "--bike-plans",
        type=_codes,
        default=DEMO_BIKE_PLANS,
        metavar="A,B",
        help=f"bike plan codes that are known (default: {','.join(DEMO_BIKE_PLANS)})",
    )
    parser.add_argument(
        "--latency", type=_seconds, default=0.0, metavar="SECONDS", help="wait before each call (default: 0)"
    )
    parser.add_argument("--certificate", type=Path, metavar="PATH", help="PEM file: answer https, with --key")
    parser.add_argument("--key", type=Path, metavar="PATH", help="PEM file of the certificate's private key")
    return parser


def _tls(parser: argparse.ArgumentParser, options: argparse.Namespace) -> ssl.SSLContext | None:
    if (options.certificate is None) != (options.key is None):
        parser.error("--certificate and --key go together")
    if options.certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(options.certificate, options.key)
    except (OSError, ssl.SSLError) as error:
        parser.error(f"{options.certificate} and {options.key} are no certificate with its key ({error})")
    return context


def _token(parser: argparse.ArgumentParser) -> str:
    token = os.environ.get(TOKEN_VARIABLE, "")
    if not token:
        parser.error(f"the environment variable {TOKEN_VARIABLE} is not set; put the token that callers send into it")
    if not all("!" <= character <= "~" for character in token):
        parser.error(f"the environment variable {TOKEN_VARIABLE} must be printable ASCII without spaces")
    return token


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 <= int(text[:6]) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; a port is a number from 0 to 65535")
    return int(text)


def _codes(text: str) -> tuple[str, ...]:
    codes = tuple(code.strip() for code in text.split(","))
    if not all(codes):
        raise argparse.ArgumentTypeError(f"{text!r} has an empty code; write A,B")
    return codes


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds, 0 or more")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
