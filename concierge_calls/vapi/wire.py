"""Where a request may go, and whether one that failed had begun to leave: "not dialled" or doubt."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, Final

import httpx

from concierge_calls.errors import ComeBackLater, PlacementError, ReadRefused
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


def safe_address(control_url: str) -> httpx.URL:
    """Return the address of a live call; raises ReadRefused for one that is neither https nor loopback."""
    try:
        url = httpx.URL(control_url)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.host and (url.scheme == "https" or (url.scheme == "http" and is_loopback(url.host))):
        return url
    raise ReadRefused("Vapi gave a control address that is neither https nor loopback, so the call is not ended by it.")


def is_loopback(host: str) -> bool:
    """Whether what is sent there stays on this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
