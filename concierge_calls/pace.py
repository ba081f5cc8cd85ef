"""The pace at which calls are dialled, and how long somebody waits at it whom nobody answers."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

LONGEST_HOLD_OFF = 30.0  # seconds
LONGEST_ASKED = 62.0  # seconds; requests are counted by the minute, so who asks for an hour is asked again after one


class Pace:
    """When the next dial may leave: so long after the last one, later while dialling fails, and at last not at all."""

    def __init__(
        self, interval: float, *, sleep: Callable[[float], Awaitable[object]], monotonic: Callable[[], float]
    ) -> None:
        self._interval = interval
        self.sleep = sleep
        self.monotonic = monotonic
        self._spaced_until = 0.0
        self._decided = asyncio.Event()
        self._decided.set()
        self._failures = 0
        self._held_until = 0.0
        self._failing_since: float | None = None
        self._failed_at = 0.0

    @property
    def keeps_distance(self) -> bool:
        """Whether one dial waits for a while after the one before it."""
        return self._interval > 0

    @property
    def left(self) -> float:
        """Seconds until the next dial may leave; 0.0 when it may at once, infinite while another may be about to."""
        if not self._decided.is_set():
            return math.inf
        return max(0.0, max(self._spaced_until, self._held_until) - self.monotonic())

    async def wait(self) -> None:
        """Return when the next dial may leave."""
        while (left := self.left) > 0:
            await (self.sleep(left) if left < math.inf else self._decided.wait())

    def dialled(self) -> None:
        """A dial leaves now: the next one waits its interval."""
        self._spaced_until = self.monotonic() + self._interval
        self._decided.set()

    def reserve(self) -> Callable[[], None]:
        """Keep other runs' dials apart from one that may be about to leave; what is returned says that it does not."""
        if self.keeps_distance:
            self._decided.clear()
        return self._decided.set

    def answered(self) -> None:
        """Whoever places calls is there: a call was placed, or refused for a reason that only they can name."""
        self._failures = 0
        self._failing_since = None

    def hold_off(self, seconds: float) -> None:
        """Nobody is to be dialled for so many seconds, 62 at most, because whoever places calls asked for that."""
        self._held_until = max(self._held_until, self.monotonic() + min(seconds, LONGEST_ASKED))

    def failed(self) -> None:
        """A call could not be placed, for nobody was there: wait longer with every failure in a row.

        Requests that were in flight together and failed together are one failure.
        """
        now = self._failed_at = self.monotonic()
        if self._failing_since is None:
            self._failing_since = now
        if now >= self._held_until:
            self._failures += 1
        self.hold_off(min(LONGEST_HOLD_OFF, 2.0 ** (self._failures - 1)))

    def failing_for(self, since: float) -> float:
        """Seconds from the first to the last failure since anybody answered, as far as they are after this moment."""
        return 0.0 if self._failing_since is None else max(0.0, self._failed_at - max(since, self._failing_since))


class Patience:
    """How long one run waits to dial somebody while nobody is on its lines; then it gives up."""

    def __init__(
        self,
        pace: Pace,
        seconds: float,
        *,
        on_the_line: Callable[[], int],
        changed: asyncio.Event,
        give_up: Callable[[], object],
    ) -> None:
        """Wait so long; `changed` is set when somebody may have left the line. Failures before now do not count."""
        self._pace = pace
        self._seconds = seconds
        self._since = pace.monotonic()
        self._on_the_line = on_the_line
        self._changed = changed
        self._give_up = give_up

    def __repr__(self) -> str:
        return f"<Patience of {self._seconds:g} s>"

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Give up if the run waits so long in this context, or has failed to dial for so long when it begins."""
        if self._pace.failing_for(self._since) >= self._seconds and not self._on_the_line():
            self._give_up()
        giving_up = asyncio.ensure_future(self._give_up_in_the_end())
        try:
            yield
        finally:
            giving_up.cancel()

    async def _give_up_in_the_end(self) -> None:
        await self._pace.sleep(self._seconds)
        while self._on_the_line():  # that a call has ended is told by whoever is back, so time counts anew from there
            self._changed.clear()
            await self._changed.wait()
            if not self._on_the_line():
                await self._pace.sleep(self._seconds)
        self._give_up()
