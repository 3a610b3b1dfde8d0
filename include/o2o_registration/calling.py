"""One call: sends a payload once, reads a bounded answer, and says what is proved about it. Never raises."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import aiohttp

from o2o_registration.answers import Answer, Outcome, read_answer

Send = Callable[[str], Awaitable[aiohttp.ClientResponse]]
"""Sends one POST of a JSON body; gives the response with its body unread, redirects not followed, nothing repeated."""

# The first that fits counts. What is not named here may have been sent: unknown.
_PROVABLY_NOT_SENT: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ClientHttpProxyError, "the proxy let no call through"),
    (aiohttp.ClientConnectorSSLError, "TLS handshake failed"),
    (aiohttp.ClientConnectorDNSError, "the host name was not found"),
    (aiohttp.ClientProxyConnectionError, "the proxy was not reached"),
    (aiohttp.ClientConnectorError, "the connection was not accepted"),
    (aiohttp.ConnectionTimeoutError, "connecting took too long"),
)
_UNKNOWN: tuple[tuple[type[BaseException], str], ...] = (
    (TimeoutError, "no whole answer in time"),
    (aiohttp.ServerDisconnectedError, "the connection was closed before an answer"),
    (aiohttp.ClientPayloadError, "the answer broke off"),
    (aiohttp.ClientResponseError, "the answer is not HTTP"),
    (aiohttp.ClientOSError, "the connection broke"),
)


async def call(send: Send, body: str, seconds: float, max_bytes: int) -> Answer:
    """Make one call within `seconds`, reading at most `max_bytes` of the answer."""
    started = time.monotonic()
    try:
        async with asyncio.timeout(seconds):
            answer = await _exchange(send, body, max_bytes)
    except Exception as error:  # noqa: BLE001 - whatever happened, the attempt must be closed with what it proves
        answer = classify(error)
    return replace(answer, milliseconds=int((time.monotonic() - started) * 1000))


async def _exchange(send: Send, body: str, max_bytes: int) -> Answer:
    response = await send(body)
    try:
        received = bytearray()
        while len(received) <= max_bytes:
            piece = await response.content.read(max_bytes + 1 - len(received))
            if not piece:
                break
            received += piece
        whole = len(received) <= max_bytes
        user = json.loads(body)["user"]
        token = response.request_info.headers.get("Authorization", "").removeprefix("Bearer ")
        answer = read_answer(
            response.status,
            bytes(received[:max_bytes]),
            response.headers.get("Retry-After"),
            personal=(user["Email"], user["FirstName"], user["LastName"], user.get("PersonnelNumber") or "", token),
        )
        answer = replace(answer, body=_without(token, answer.body or ""))
    finally:
        # an answer read to its end has freed its connection already; any other must not be used again
        response.close()
    if whole or answer.outcome not in (Outcome.CREATED, Outcome.EXISTING):
        return answer
    return replace(answer, outcome=Outcome.IN_DOUBT, detail=f"the answer is longer than {max_bytes} bytes", words="")


def _without(token: str, body: str) -> str:
    """Some servers repeat what they were sent, and the ledger keeps this answer."""
    for spelling in {token, json.dumps(token)[1:-1], token.replace("/", "\\/")} - {""}:
        body = body.replace(spelling, "[token]")
    return body


def classify(error: BaseException) -> Answer:
    """What an exception of the HTTP client proves. Its own text is not used: it may quote what was sent."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        # OpenSSL's words, which are about the certificate alone
        words = getattr(error.certificate_error, "verify_message", "it does not verify")
        return Answer(Outcome.WRONG_CERTIFICATE, f"TLS: {words}")
    for kind, words in _PROVABLY_NOT_SENT:
        if isinstance(error, kind):
            return Answer(Outcome.NOT_SENT, words)
    for kind, words in _UNKNOWN:
        if isinstance(error, kind):
            return Answer(Outcome.IN_DOUBT, words)
    return Answer(Outcome.IN_DOUBT, f"the call ended with {type(error).__name__}")
