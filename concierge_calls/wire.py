"""Whether anything of a request was written to the socket: "certainly never sent", or doubt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import httpx

_NEVER_LEFT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


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
