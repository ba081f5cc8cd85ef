"""How a request is sent, and whether anything of it was written to the socket: "certainly never sent", or doubt."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import httpx

_NEVER_LEFT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_NOTHING_MORE: Final = httpx.ByteStream(b"")


async def sent(http: httpx.AsyncClient, request: httpx.Request, seconds: float) -> httpx.Response:
    """Send it once, and return the whole reply; raises TimeoutError after so many seconds, or what httpx raises."""
    async with asyncio.timeout(seconds):
        response = await http.send(request)
    response.stream = _NOTHING_MORE  # the two would hold one another, and all that was read, as garbage
    return response


class Wire:
    """Listens to one request as httpx's `trace` extension; a CONNECT to a proxy before it is not ours."""

    def __init__(self) -> None:
        self.heard = False
        self.left = False

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        """Take note of one step (httpcore: docs/extensions, "trace")."""
        self.heard = True
        if event.endswith("send_request_headers.started") and info["request"].method != b"CONNECT":
            self.left = True

    def never_left(self, error: Exception) -> bool:
        """Say whether certainly nothing was written; of a transport that tells nothing, the error alone is believed."""
        return not self.left and (self.heard or isinstance(error, _NEVER_LEFT))
