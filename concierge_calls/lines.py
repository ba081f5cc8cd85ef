"""The telephone lines that calls take and give back, and the pace at which they are dialled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

LONGEST_HOLD_OFF = 30.0


class Lines:
    """A counting semaphore of telephone lines."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.busy = 0
        self._freed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Lines {self.busy} of {self.limit} busy>"

    async def take(self) -> Line:
        """Wait for a free line and take it."""
        while self.busy >= self.limit:
            self._freed.clear()
            await self._freed.wait()
        return self.occupy()

    def occupy(self) -> Line:
        """Take a line for a call that is on it already, whether one is free or not."""
        self.busy += 1
        return Line(self)

    def give_back(self) -> None:
        """Let the next one have a line."""
        self.busy -= 1
        self._freed.set()


class Line:
    """One line that is taken; it is given back once."""

    def __init__(self, lines: Lines) -> None:
        self._lines: Lines | None = lines

    def free(self) -> None:
        """Give the line back; a second time does nothing."""
        if self._lines is not None:
            self._lines.give_back()
            self._lines = None


class Pace:
    """When the next dial may leave: so long after the last one, and later while dialling fails."""

    def __init__(
        self, interval: float, *, sleep: Callable[[float], Awaitable[object]], monotonic: Callable[[], float]
    ) -> None:
        self._interval = interval
        self._sleep = sleep
        self._monotonic = monotonic
        self._spaced_until = 0.0
        self._failures = 0
        self._held_until = 0.0
        self._failing_since: float | None = None
        self._failed_at = 0.0
        self._lacks_line = False  # it is for a free line that is waited
        self._lifted = asyncio.Event()

    @property
    def left(self) -> float:
        """Seconds until the next dial may leave; 0.0 when it may at once."""
        return max(0.0, max(self._spaced_until, self._held_until) - self._monotonic())

    async def wait(self) -> None:
        """Return when the next dial may leave."""
        while (left := self.left) > 0:
            self._lifted.clear()
            waits = [asyncio.ensure_future(each) for each in (self._pass(left), self._lifted.wait())]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in waits:
                    each.cancel()

    def dialled(self) -> None:
        """A dial leaves now: the next one waits its interval."""
        self._spaced_until = self._monotonic() + self._interval

    def placed(self) -> None:
        """A call was placed, so whoever places calls is there; whether it gets a line is not yet known."""
        self._failing_since = None

    def succeeded(self) -> None:
        """A call has its line: nothing is wrong any more."""
        self._failures = 0
        self._failing_since = None

    def line_freed(self) -> None:
        """A call of ours has ended: where only a free line was missing, there is one now.

        What was asked for is waited all the same, and so is the interval between two dials.
        """
        if self._lacks_line:
            self._lacks_line = False
            self._held_until = self._monotonic()
            self._lifted.set()

    def hold_off(self, retry_after: float | None, *, lacks_line: bool = False) -> None:
        """A call could not be placed just now: wait as long as was said, else longer with every failure in a row.

        Requests that were in flight together and failed together are one failure.
        """
        now = self._failed_at = self._monotonic()
        if self._failing_since is None:
            self._failing_since = now
        liftable = lacks_line and retry_after is None
        self._lacks_line = liftable and (self._lacks_line or now >= self._held_until)
        if now >= self._held_until:
            self._failures += 1
        wait = min(LONGEST_HOLD_OFF, 2.0 ** (self._failures - 1)) if retry_after is None else retry_after
        self._held_until = max(self._held_until, now + wait)

    @property
    def failing_for(self) -> float:
        """Seconds from the first to the last failure since a call was placed; 0.0 when dialling does not fail."""
        return 0.0 if self._failing_since is None else self._failed_at - self._failing_since

    async def _pass(self, seconds: float) -> None:
        await self._sleep(seconds)
