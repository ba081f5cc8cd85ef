"""Whoever watches a run: they are called with what has happened, and cannot harm it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from concierge_calls.errors import PlacementError
from concierge_calls.models import CallEvent, CallRequest

Observer = Callable[[CallEvent], object]
OnError = Callable[[PlacementError, CallRequest, int], object]

log = logging.getLogger(__name__)


def harmless(callback: Callable[..., object]) -> Callable[..., None]:
    """Return the callback, which is somebody else's code, such that what it raises is logged and harms no call."""

    def call(*arguments: object) -> None:
        try:
            callback(*arguments)
        except Exception:
            log.exception("A callback of the run failed; the calls go on.")

    return call
