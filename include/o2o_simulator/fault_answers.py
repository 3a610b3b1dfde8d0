"""What each fault does on the wire; `faults.py` says which there are and when they strike."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from aiohttp import web

from o2o_simulator.registration import CREATED, Answer

REDIRECT_TARGET = "/redirected/user.create"

_CHUNK = b"x" * 65_536
_CLIENT_GONE_POLL_S = 0.02
_HTML_PAGE = "<!doctype html><html><head><title>o2o</title></head><body><h1>We will be right back</h1></body></html>"


@dataclass(frozen=True, slots=True)
class FaultOptions:
    """Everything that a kind of fault can be told; each kind uses some.

    `processed` says whether the person is registered and mailed although the answer does not say so.
    `seconds` None means: until the client leaves.
    """

    processed: bool = False
    status: int = 500
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float | None = None
    interval: float = 1.0
    bytes: int = 10 * 1024 * 1024
    location: str = REDIRECT_TARGET


class NoAnswer(web.Response):
    """Handed to aiohttp after the connection was aborted; never reaches anyone."""


@dataclass(frozen=True, slots=True)
class Struck:
    """A call that a fault struck, with the way to process it."""

    request: web.Request
    options: FaultOptions
    process: Callable[[], Answer]

    def effect(self) -> Answer:
        """Register and mail the person if the fault says so; either way, an answer to disguise."""
        return self.process() if self.options.processed else CREATED


def respond(answer: Answer) -> web.Response:
    """The answer as o2o sends it when nothing is in the way."""
    return web.json_response(answer.body, status=answer.status, headers=answer.headers)


async def status(struck: Struck) -> web.StreamResponse:
    """Any status, with any body and headers."""
    struck.effect()
    options = struck.options
    headers = dict(options.headers)
    if isinstance(options.body, str):
        headers.setdefault("Content-Type", "text/plain; charset=utf-8")
        return web.Response(status=options.status, body=options.body.encode(), headers=headers)
    body = options.body
    if body is None:
        body = {"result": _phrase(options.status), "success": False}
    headers.setdefault("Content-Type", "application/json")
    return web.Response(status=options.status, body=json.dumps(body).encode(), headers=headers)


async def latency(struck: Struck) -> web.StreamResponse:
    """The true answer, late. The effect comes late too, even when the client has long left."""
    await asyncio.sleep(struck.options.seconds or 0.0)
    return respond(struck.effect())


async def reset(struck: Struck) -> web.StreamResponse:
    """A connection reset instead of an answer."""
    struck.effect()
    return abort(struck.request, with_reset=True)


async def hang(struck: Struck) -> web.StreamResponse:
    """No answer until the client leaves, or the server does after `seconds`."""
    struck.effect()
    loop = asyncio.get_running_loop()
    patience = struck.options.seconds
    end = float("inf") if patience is None else loop.time() + patience
    # aiohttp wakes a handler whose client left only by cancelling it, which would drop late effects as well.
    while struck.request.transport is not None and loop.time() < end:  # noqa: ASYNC110
        await asyncio.sleep(min(_CLIENT_GONE_POLL_S, end - loop.time()))
    return abort(struck.request, with_reset=False)


async def half_body(struck: Struck) -> web.StreamResponse:
    """The first half of an answer whose Content-Length promised all of it."""
    answer = struck.effect()
    body = json.dumps(answer.body).encode()
    response = await _begin(struck.request, answer.status, len(body))
    await response.write(body[: len(body) // 2])
    # A reset would let the client's system drop the half that it already has.
    return abort(struck.request, with_reset=False)


async def html(struck: Struck) -> web.StreamResponse:
    """A 200 from something in between that knows nothing of the API."""
    struck.effect()
    return web.Response(text=_HTML_PAGE, content_type="text/html")


async def contradiction(struck: Struck) -> web.StreamResponse:
    """Says created and not created."""
    struck.effect()
    return web.json_response({"result": "User was created.", "success": False}, status=201)


async def not_json(struck: Struck) -> web.StreamResponse:
    """Claims to be JSON and is none."""
    struck.effect()
    return web.Response(status=201, text="User was created.", content_type="application/json")


async def slow_body(struck: Struck) -> web.StreamResponse:
    """The true answer, one byte per `interval`."""
    answer = struck.effect()
    body = json.dumps(answer.body).encode()
    response = await _begin(struck.request, answer.status, len(body))
    for byte in body:
        await response.write(bytes([byte]))
        await asyncio.sleep(struck.options.interval)
    await response.write_eof()
    return response


async def huge_body(struck: Struck) -> web.StreamResponse:
    """The true answer as valid JSON, padded to `bytes` and streamed without a Content-Length."""
    answer = struck.effect()
    head = json.dumps(answer.body).encode()[:-1] + b', "padding": "'
    tail = b'"}'
    response = await _begin(struck.request, answer.status, None)
    await response.write(head)
    missing = struck.options.bytes - len(head) - len(tail)
    while missing > 0:
        chunk = _CHUNK[:missing]
        await response.write(chunk)
        missing -= len(chunk)
    await response.write_eof(tail)
    return response


async def redirect(struck: Struck) -> web.StreamResponse:
    """A 307, which asks the client to post the person, and the token, somewhere else."""
    return web.Response(status=307, headers={"Location": struck.options.location})


def abort(request: web.Request, *, with_reset: bool) -> NoAnswer:
    """Cut the connection, with a TCP reset or a plain end."""
    if (transport := request.transport) is not None:
        if with_reset and (connection := transport.get_extra_info("socket")) is not None:
            # Lingering for zero seconds is how a program asks its system for a reset.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return NoAnswer()


async def _begin(request: web.Request, code: int, length: int | None) -> web.StreamResponse:
    response = web.StreamResponse(status=code, headers={"Content-Type": "application/json"})
    if length is None:
        response.enable_chunked_encoding()
    else:
        response.content_length = length
    await response.prepare(request)
    return response


def _phrase(code: int) -> str:
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return f"Status {code}"
