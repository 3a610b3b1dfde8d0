"""A PostgreSQL with TLS: the wheel's server is built without, so this stands before it, as a company's pooler does."""

from __future__ import annotations

import contextlib
import select
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Iterator

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
"""The first that a client with TLS says: https://www.postgresql.org/docs/current/protocol-flow.html"""


@contextlib.contextmanager
def front(port: int, context: ssl.SSLContext | None) -> Iterator[int]:
    """Takes TLS by `context`, or none at all, and hands on to the server at `port`. Yields the port it listens on."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            client: socket.socket = self.request
            begin = client.recv(8, socket.MSG_WAITALL)
            if begin == SSL_REQUEST:
                client.sendall(b"S" if context else b"N")
                if context is None:
                    return
                try:
                    client = context.wrap_socket(client, server_side=True)
                except OSError:
                    return
                begin = b""
            with client, socket.create_connection(("127.0.0.1", port)) as server:
                server.sendall(begin)
                _hand_on(client, server)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def _hand_on(client: socket.socket, server: socket.socket) -> None:
    """Both ways by one thread, as a TLS connection wants it."""
    other = {client: server, server: client}
    with contextlib.suppress(OSError):
        while True:
            waiting = isinstance(client, ssl.SSLSocket) and client.pending()
            for source in [client] if waiting else select.select([client, server], [], [])[0]:
                data = source.recv(65_536)
                if not data:
                    return
                other[source].sendall(data)
