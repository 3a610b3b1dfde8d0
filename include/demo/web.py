"""HTTP to our own processes on this machine: JSON in, JSON out."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

# A proxy that the user's environment names is for other machines.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class HttpError(Exception):
    """An answer other than 2xx, or none (status 0)."""

    def __init__(self, method: str, url: str, status: int, text: str) -> None:
        self.status = status
        super().__init__(f"{method} {url}: {status or 'no answer'} {text[:300]}".rstrip())


def call(method: str, url: str, body: object = None, token: str | None = None, timeout: float = 5.0) -> Any:
    """Raises HttpError."""
    headers = {"Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None
    if body is not None:
        data = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with _OPENER.open(request, timeout=timeout) as response:
            text = response.read()
    except urllib.error.HTTPError as error:
        raise HttpError(method, url, error.code, error.read().decode("utf-8", "replace")) from None
    except OSError as error:
        raise HttpError(method, url, 0, str(error)) from None
    try:
        return json.loads(text) if text else None
    except ValueError:
        raise HttpError(method, url, 200, "the answer is no JSON") from None
