"""The environment of a command that a test starts: none of our variables from outside, and a Vapi, or nobody there."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

OURS = ("VAPI_", "CONCIERGE_", "KESTRA_")
KEY = "sk-0123-never-to-be-seen"
NUMBER = "11111111-1111-4111-8111-111111111111"


def without_ours() -> dict[str, str]:
    """Return the environment of the tests without our variables."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)}


def at_vapi(url: str, *, poll: float = 0.05) -> dict[str, str]:
    """Return the variables that make a simulator the real Vapi and leave nothing to wait for but calls."""
    return {
        "VAPI_API_KEY": KEY,
        "VAPI_PHONE_NUMBER_ID": NUMBER,
        "VAPI_BASE_URL": url,
        "VAPI_POLL_INTERVAL": str(poll),
        "VAPI_START_INTERVAL": "0",
        "VAPI_MAX_REQUESTS_PER_MINUTE": "0",
    }


@contextmanager
def nobody_listens() -> Iterator[str]:
    """Yield an address of this machine where nobody listens, and that nobody else is given while the context lasts."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"
