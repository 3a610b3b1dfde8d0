"""The simulator's server: user.create behind a token, everything else for the person who plays with it.

`/` and `/simulator/*` answer anyone who reaches the port, without a token. That is meant: the simulator
listens on the loopback interface and holds invented people. Keep it off public addresses.
"""

from __future__ import annotations

import asyncio
import errno
import hmac
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from o2o_simulator import control
from o2o_simulator.errors import ListenError
from o2o_simulator.fault_answers import REDIRECT_TARGET, NoAnswer, Struck, abort, respond
from o2o_simulator.faults import KINDS, Fault, FaultBoard
from o2o_simulator.journal import Journal
from o2o_simulator.mailbox import Mailbox
from o2o_simulator.records import Call, Mail, Summary
from o2o_simulator.registration import (
    CREATED,
    DEMO_BIKE_PLANS,
    UNAUTHORIZED,
    UPDATED,
    Answer,
    Reading,
    fields_of,
    read_body,
)

__all__ = ["REDIRECT_TARGET", "USER_CREATE_PATH", "Simulator"]

USER_CREATE_PATH = "/receiver/APIv3/user.create"

_LARGEST_REQUEST = 64 * 1024
_BACKLOG = 1024
_WRONG_TYPE = Answer(415, {"result": "The content type must be application/json.", "success": False})
# aiohttp reads 0 as "wait for ever".
_AT_ONCE_S = 0.01


class Simulator:
    """A stand-in for o2o, from `start` to `stop` or inside ``async with``; port 0 picks a free one.

    `base_latency` is in seconds and precedes the processing of every call. `journal` is the file to remember
    in. With `tls` it speaks HTTPS.
    """

    def __init__(
        self,
        token: str,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        bike_plans: Iterable[str] = DEMO_BIKE_PLANS,
        base_latency: float = 0.0,
        journal: Path | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._authorization = f"Bearer {token}".encode()
        self._host = host
        self._port = port
        self._fields = fields_of(frozenset(bike_plans))
        self._base_latency = base_latency
        self._tls = tls
        self._mailbox = Mailbox(None if journal is None else Journal(journal))
        self._faults = FaultBoard()
        self._running: set[asyncio.Task[object]] = set()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen, remember, answer; ListenError or JournalError when it cannot."""
        # Bound first: of two simulators started by mistake, the second must not touch the journal.
        listener = self._bind()
        try:
            self._mailbox.load()
        except BaseException:
            listener.close()
            self._mailbox.close()
            raise
        self._port = listener.getsockname()[1]
        self._runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=_AT_ONCE_S)
        await self._runner.setup()
        await web.SockSite(self._runner, listener, backlog=_BACKLOG, ssl_context=self._tls).start()

    async def stop(self) -> None:
        """Stop at once, whatever is running; what was recorded stays readable."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self._mailbox.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """The server's address without a trailing slash."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self._port}"

    @property
    def mailbox(self) -> list[Mail]:
        """A copy of all e-mails, oldest first."""
        return self._mailbox.mails

    @property
    def calls(self) -> list[Call]:
        """A copy of all calls, in order of arrival, running ones included."""
        return self._mailbox.calls

    def summary(self) -> Summary:
        """The numbers so far."""
        return self._mailbox.summary()

    def reset(self) -> None:
        """Forget mails, people, calls and counters; active faults stay."""
        self._mailbox.reset()

    def add_fault(self, kind: str, **options: object) -> Fault:
        """Activate a fault, e.g. ``add_fault("status", status=503, headers={"Retry-After": "1"}, next=2)``.

        FaultError if the description is wrong.
        """
        return self._faults.add({**options, "kind": kind})

    def clear_faults(self) -> int:
        """Deactivate all faults; gives their number."""
        return self._faults.clear()

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            return socket.create_server((self._host, self._port), family=family, backlog=_BACKLOG)
        except (OSError, OverflowError, UnicodeError) as error:
            raise ListenError(_why_not_listening(self._host, self._port, error)) from error

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._refusals_as_json], client_max_size=_LARGEST_REQUEST)
        app.router.add_post(USER_CREATE_PATH, self._user_create)
        app.router.add_route("*", REDIRECT_TARGET, self._redirected)
        control.add_routes(app, self._mailbox, self._faults)
        return app

    async def _user_create(self, request: web.Request) -> web.StreamResponse:
        """Number a call, answer it, and note how that ended."""
        fault = self._faults.draw()
        number = self._mailbox.open_call(fault.kind if fault else None)
        visit = _Visit(request, number, fault)
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            response = await self._answer(visit)
            visit.status = None if isinstance(response, NoAnswer) else response.status
            return response
        except web.HTTPException as refusal:
            visit.status = refusal.status
            raise
        except ConnectionError:  # the client left while it was being answered
            return abort(request, with_reset=False)
        finally:
            self._running.discard(task)
            self._mailbox.close_call(number, visit.status, visit.employee_id)

    async def _answer(self, visit: _Visit) -> web.StreamResponse:
        fault, request = visit.fault, visit.request
        kind = KINDS[fault.kind] if fault else None
        body = b"" if kind and not kind.reads else await request.read()
        reading = read_body(body, self._fields)
        visit.employee_id = reading.employee_id
        if self._base_latency:
            await asyncio.sleep(self._base_latency)
        if kind is None or fault is None:
            return respond(self._process(visit, reading))
        return await kind.strike(Struck(request, fault.options, lambda: self._process(visit, reading)))

    def _process(self, visit: _Visit, reading: Reading) -> Answer:
        """What o2o does with a call: one e-mail and one answer, never half of it."""
        if not self._is_authorized(visit.request):
            return UNAUTHORIZED
        if visit.request.content_type != "application/json":
            return _WRONG_TYPE
        if reading.problems or reading.email is None:
            answer = reading.refusal()
        else:
            answer = UPDATED if self._mailbox.has_account(reading.email) else CREATED
        if reading.email is not None and answer.subject is not None:
            self._mailbox.send(visit.call, reading.email, answer.subject, reading.employee_id)
        return answer

    def _is_authorized(self, request: web.Request) -> bool:
        given = request.headers.getall("Authorization", [])
        return len(given) == 1 and hmac.compare_digest(given[0].encode("utf-8", "surrogateescape"), self._authorization)

    async def _redirected(self, request: web.Request) -> web.StreamResponse:
        self._mailbox.note_request(404, token_leaked="Authorization" in request.headers)
        return web.json_response({"result": "You were redirected here, and followed.", "success": False}, status=404)

    @web.middleware
    async def _refusals_as_json(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Answer 404, 405 and 413 in JSON, and count those that no call has counted."""
        try:
            return await handler(request)
        except web.HTTPException as refusal:
            if (request.method, request.path) != ("POST", USER_CREATE_PATH):
                self._mailbox.note_request(refusal.status)
            headers = {"Allow": refusal.headers["Allow"]} if "Allow" in refusal.headers else {}
            return web.json_response(
                {"result": refusal.reason, "success": False}, status=refusal.status, headers=headers
            )


class _Visit:
    """A call on its way through the server."""

    __slots__ = ("call", "employee_id", "fault", "request", "status")

    def __init__(self, request: web.Request, call: int, fault: Fault | None) -> None:
        self.request = request
        self.call = call
        self.fault = fault
        self.status: int | None = None
        self.employee_id: str | None = None


def _why_not_listening(host: str, port: int, error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken; stop the program that uses it, or choose another with --port"
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"cannot listen on {host}, port {port}: {reason}"
