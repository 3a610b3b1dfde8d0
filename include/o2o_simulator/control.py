"""The simulator's own side: the mailbox to read, the numbers, and the faults to switch on and off."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict

from aiohttp import web

from o2o_simulator import page
from o2o_simulator.errors import FaultError
from o2o_simulator.faults import FaultBoard
from o2o_simulator.mailbox import Mailbox
from o2o_simulator.records import as_json

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_PAGE_HEADERS = _HEADERS | {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; base-uri 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}


def add_routes(app: web.Application, mailbox: Mailbox, faults: FaultBoard) -> None:
    """Serve `/` and `/simulator/*`."""
    control = _Control(mailbox, faults)
    app.router.add_get("/", control.show_page)
    app.router.add_get("/simulator/mailbox", control.list_mails)
    app.router.add_delete("/simulator/mailbox", control.reset_mailbox)
    app.router.add_get("/simulator/summary", control.show_summary)
    app.router.add_get("/simulator/faults", control.list_faults)
    app.router.add_post("/simulator/faults", control.add_fault)
    app.router.add_delete("/simulator/faults", control.clear_faults)


class _Control:
    def __init__(self, mailbox: Mailbox, faults: FaultBoard) -> None:
        self._mailbox = mailbox
        self._faults = faults

    async def show_page(self, request: web.Request) -> web.Response:
        """The mailbox for people: ?q= an address or employee id, ?only=repeats, ?page=1.."""
        only_repeats = request.query.get("only") == "repeats"
        text = request.query.get("q", "").strip()
        mails = self._mailbox.repeated_mails if only_repeats else self._mailbox.mails
        # In a thread: looking through a million mails must not hold up a call.
        found = await asyncio.to_thread(page.matching, mails, text)
        view = page.view_of(found, text, only_repeats, request.query.get("page", "1"))
        html = page.render(self._mailbox.summary(), [fault.as_json() for fault in self._faults.active()], view)
        return web.Response(text=html, content_type="text/html", headers=_PAGE_HEADERS)

    async def list_mails(self, request: web.Request) -> web.Response:
        """All mails as JSON, oldest first; ?offset= and ?limit= cut a piece out of X-Total-Count."""
        try:
            offset = _whole_number(request, "offset", 0)
            limit = _whole_number(request, "limit", None)
        except ValueError as error:
            return _json({"error": str(error)}, status=400)
        mails = self._mailbox.mails
        start = offset or 0
        piece = mails[start : None if limit is None else start + limit]
        text = await asyncio.to_thread(lambda: json.dumps([as_json(mail) for mail in piece]))
        headers = _HEADERS | {"X-Total-Count": str(len(mails))}
        return web.Response(text=text, content_type="application/json", headers=headers)

    async def reset_mailbox(self, _: web.Request) -> web.Response:
        """Forget mails, people, calls and counters."""
        forgotten = self._mailbox.summary()
        self._mailbox.reset()
        return _json({"mails": forgotten.mails, "calls": forgotten.calls})

    async def show_summary(self, _: web.Request) -> web.Response:
        """The numbers."""
        return _json(asdict(self._mailbox.summary()))

    async def list_faults(self, _: web.Request) -> web.Response:
        """The active faults in the order they are tried."""
        return _json([fault.as_json() for fault in self._faults.active()])

    async def add_fault(self, request: web.Request) -> web.Response:
        """Activate a fault; 400 says what is wrong with its description."""
        # Only JSON: a web page elsewhere can make a browser post a form here, but not this type.
        if request.content_type != "application/json":
            return _json({"error": "the content type must be application/json"}, status=415)
        try:
            description = json.loads(await request.read())
            if not isinstance(description, dict):
                raise FaultError("a fault is a JSON object with a kind")
            fault = self._faults.add(description)
        except FaultError as error:
            return _json({"error": str(error)}, status=400)
        except (ValueError, RecursionError):
            return _json({"error": "the body is not JSON"}, status=400)
        return _json(fault.as_json(), status=201)

    async def clear_faults(self, _: web.Request) -> web.Response:
        """Deactivate all faults."""
        return _json({"cleared": self._faults.clear()})


def _json(data: object, status: int = 200) -> web.Response:
    return web.json_response(data, status=status, headers=_HEADERS)


def _whole_number(request: web.Request, name: str, default: int | None) -> int | None:
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise ValueError(f"{name} must be a whole number, 0 or more")
    return int(text)
