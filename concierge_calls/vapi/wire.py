"""Where a request may go, and whether one that failed had begun to leave: "not dialled" or doubt."""

from __future__ import annotations

import httpx

from concierge_calls.errors import ComeBackLater, PlacementError, ReadRefused
from concierge_calls.loopback import is_loopback
from concierge_calls.vapi import faults
from concierge_calls.wire import Wire


class VapiWire(Wire):
    """Listens to one request to Vapi."""

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
