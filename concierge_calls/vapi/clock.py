"""Vapi's clock, as far as it can be told from here: this machine's own may be an hour off."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache


class VapiClock:
    """Monotonic time plus the offset of the latest Date header; this machine's wall clock until one came.

    A Date header is a whole second, rounded down (RFC 9110, 6.6.1), so one that is up to a second behind what is
    already known teaches nothing new, and the clock does not jump to and fro between two replies.
    """

    def __init__(
        self, *, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        self.monotonic = monotonic
        self._offset = wall() - monotonic()

    def __repr__(self) -> str:
        return f"<VapiClock {self.now():%Y-%m-%d %H:%M:%S}Z>"

    def seconds(self) -> float:
        """Return the time as seconds since 1970, as `Gate` takes it."""
        return self.monotonic() + self._offset

    def now(self) -> datetime:
        """Return the time in UTC."""
        return datetime.fromtimestamp(self.seconds(), UTC)

    def learn(self, date_header: str | None) -> None:
        """Set the clock by a reply's Date header; one that is missing or unreadable changes nothing."""
        stamped = _seconds(date_header)
        if stamped is not None and not 0 <= self.seconds() - stamped <= 1:
            self._offset = stamped - self.monotonic()


@lru_cache(8)  # the replies of a second have the same
def _seconds(date_header: str | None) -> float | None:
    try:
        stamped = parsedate_to_datetime(date_header or "")
    except (ValueError, OverflowError):
        return None
    return (stamped if stamped.tzinfo else stamped.replace(tzinfo=UTC)).timestamp()
