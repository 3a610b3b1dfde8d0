"""How the simulator's tests talk to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
from o2o_simulator import USER_CREATE_PATH

TOKEN = "a-token-for-tests"
NAMED = "Bearer " + TOKEN


@dataclass(frozen=True)
class Reply:
    """A complete answer."""

    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


async def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait for what the server does by itself. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what the server does sets no event of ours
            await asyncio.sleep(0.01)


class Caller:
    """Makes single requests and reads each answer to its end."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def post(self, user: dict[str, Any], *, patience: float = 10.0, follow: bool = False) -> Reply:
        """Post one person as the pipeline would; aiohttp's errors pass through."""
        timeout = aiohttp.ClientTimeout(total=patience)
        return await self.request(
            "POST",
            USER_CREATE_PATH,
            json={"user": user},
            headers={"Authorization": NAMED},
            timeout=timeout,
            allow_redirects=follow,
        )

    async def request(self, method: str, path: str, **options: Any) -> Reply:
        """Any request."""
        async with self._session.request(method, path, **options) as response:
            return Reply(response.status, await response.read(), dict(response.headers))
