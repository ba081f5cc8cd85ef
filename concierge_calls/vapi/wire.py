"""Whether a request that failed had begun to leave this machine: what decides between "not dialled" and doubt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import httpx

from concierge_calls.errors import ComeBackLater, PlacementError
from concierge_calls.vapi import faults

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

    def fault_of(self, error: Exception) -> PlacementError:
        """Return the error for a create to which no answer came."""
        name = type(error).__name__
        if self.never_left(error):
            return ComeBackLater(f"Vapi could not be reached ({name}); the call is placed later.", "unreachable")
        return faults.in_doubt(f"Vapi's reply was lost ({name})")
