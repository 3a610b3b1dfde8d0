"""The hook: one keep-alive session to o2o, each call sent once, redirects never followed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
from aiohttp.helpers import get_env_proxy_for_url
from airflow.providers.http.hooks.http import HttpAsyncHook, SessionConfig
from o2o_connections import API_CONN_ID, api, get_connection
from o2o_registration.api import Api, trusted
from o2o_registration.calling import Send
from o2o_registration.settings import DeliverySettings
from yarl import URL

KEEP_ALIVE_SECONDS = 4.0
"""A connection that rests longer is closed: o2o may be closing it too, and a POST that meets that is in doubt."""


class O2OHook(HttpAsyncHook):
    """`HttpAsyncHook` with o2o's bearer token and without the retries, which would repeat a call that e-mails.

    `allowed_hosts` may be called beside o2o's own. A hook lives as long as a run, and so does the token it has read.
    """

    conn_name_attr = "http_conn_id"
    default_conn_name = API_CONN_ID
    conn_type = "o2o"
    hook_name = "o2o"

    def __init__(self, http_conn_id: str = API_CONN_ID, allowed_hosts: Collection[str] = ()) -> None:
        super().__init__(method="POST", http_conn_id=http_conn_id, retry_limit=1)
        self.allowed_hosts = allowed_hosts
        self._api: Api | None = None

    def server(self) -> str:
        """The name of the server that is called, as a ledger remembers it. Raises ConfigurationError."""
        return self._read().name

    def _read(self) -> Api:
        if self._api is None:
            self._api = api(get_connection(self.http_conn_id), self.allowed_hosts)
        return self._api

    async def config(self) -> SessionConfig:
        """The session's address, headers and TLS. Raises ConfigurationError, see `o2o_registration.api`."""
        if self._config is None:
            server = self._read()
            self._config = SessionConfig(
                base_url=server.base_url,
                headers={
                    "Authorization": f"Bearer {server.token}",
                    "Accept": "application/json",
                    "Content-Type": "application/json",
                },
                extra_options={
                    "allow_redirects": False,
                    "check_response": False,
                    "ssl": trusted(server, self.http_conn_id),
                    **({} if server.on_loopback else _proxy(URL(server.base_url))),
                },
            )
        return self._config

    @asynccontextmanager
    async def sender(self, endpoint: str, settings: DeliverySettings) -> AsyncIterator[Send]:
        """What the delivery calls: one POST of one payload, over connections that are kept."""
        config = await self.config()
        options = {name: value for name, value in (config.extra_options or {}).items() if name != "check_response"}
        timeout = aiohttp.ClientTimeout(
            # the caller holds the whole call to its time
            total=None,
            connect=settings.connect_seconds,
            sock_connect=settings.connect_seconds,
            sock_read=settings.read_seconds,
        )
        connector = aiohttp.TCPConnector(limit=settings.concurrency, keepalive_timeout=KEEP_ALIVE_SECONDS)
        url = URL(f"{config.base_url}/{endpoint.lstrip('/')}")
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=config.headers) as session:

            async def send(body: str) -> aiohttp.ClientResponse:
                # the provider's own session builds a retrying object for each call, to try once
                return await session.post(url, data=body.encode(), **options)

            yield send


def _proxy(url: URL) -> dict[str, Any]:
    """What HTTPS_PROXY and NO_PROXY say of this address, as aiohttp's arguments.

    aiohttp's trust_env would look it up again, in a thread, for each call.
    """
    with suppress(LookupError):
        proxy, auth = get_env_proxy_for_url(url)
        return {"proxy": proxy, "proxy_auth": auth}
    return {}
