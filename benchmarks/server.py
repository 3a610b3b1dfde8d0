"""A stand-in for o2o that does next to nothing, so that the server is not what is measured."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import Connection

BODY = b'{"result": "User was created.", "success": true}'
ANSWER = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
HOST = "127.0.0.1"


class _Lean(asyncio.Protocol):
    """One connection, one request at a time, answered after `latency` seconds."""

    def __init__(self, latency: float) -> None:
        self._latency = latency
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return
        self._received = b""
        asyncio.get_running_loop().call_later(self._latency, self._answer)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(ANSWER)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def _serve(latency: float, port: Connection) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Lean(latency), HOST, 0)
    port.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def _main(latency: float, port: Connection) -> None:
    asyncio.run(_serve(latency, port))


@contextlib.contextmanager
def lean_server(latency: float) -> Iterator[str]:
    """Its URL; `latency` in seconds from request to answer. A process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_main, args=(latency, there), daemon=True)
    process.start()
    try:
        yield f"http://{HOST}:{here.recv()}"
    finally:
        process.terminate()
        process.join()
