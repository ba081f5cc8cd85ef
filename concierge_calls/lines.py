"""The telephone lines that calls take and give back, how many there are, and each run's share of them."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from contextlib import suppress
from enum import Enum, auto

from concierge_calls.levels import Levels


class _Use(Enum):
    TAKEN = auto()
    DIALLED = auto()  # whether the call gets a line is not yet known
    SERVED = auto()
    REFUSED = auto()


class Lines:
    """At most `limit` telephone lines, and for as long as the backend has fewer, no more than those."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._levels = Levels()
        self._taken: set[Line] = set()
        self._uses: Counter[_Use] = Counter()  # of those that are taken
        self._waiting: list[Share] = []  # in the order in which they came
        self._changed = asyncio.Event()
        self._whole = Share(self, limit)

    def __repr__(self) -> str:
        return f"<Lines {self.busy} of {self.limit} busy, {self._levels!r}>"

    @property
    def busy(self) -> int:
        """How many lines are taken."""
        return len(self._taken)

    def share(self, limit: int) -> Share:
        """Return one run's part of these lines, at most so many of them."""
        return Share(self, limit)

    async def take(self, share: Share | None = None) -> Line:
        """Wait until one more call may be dialled, and take a line for it.

        Of several shares that wait, the one with the fewest lines is served first, then the one that waits longest.
        """
        share = share or self._whole
        self._waiting.append(share)
        try:
            await self._turn_of(share)
            self._waiting.sort(key=lambda each: each is share)  # a share may wait more than once, and others come first
            return self._held(Line(self, share))
        finally:
            self._waiting.remove(share)
            self._changed.set()

    def occupy(self, share: Share | None = None) -> Line:
        """Take a line for a call that is on it already, whether one is free or not."""
        return self._held(Line(self, share or self._whole, _Use.DIALLED))

    def try_to_dial(self, line: Line) -> bool:
        """Dial on this line, unless one call more has been refused since it was taken."""
        level = self._dialled + 1
        if self._opens_in(level) > 0:
            return False
        line.is_probe = self._levels.is_probe(level)
        self._use(line, _Use.DIALLED)
        return True

    def refused(self, line: Line) -> None:
        """The backend had no line for the call on this one."""
        if line.use is not _Use.REFUSED:
            self._use(line, _Use.REFUSED)
            self._levels.refused(self._dialled + 1, _now())
            self._changed.set()

    def lost(self, line: Line) -> None:
        """What becomes of the call on this line may not be known for long, so no other waits for that."""
        line.is_probe = False
        self._changed.set()

    def served(self, line: Line) -> None:
        """The call on this line has one at the backend, too."""
        if line.use is not _Use.SERVED:
            self._use(line, _Use.SERVED)
            self._levels.served(self._uses[_Use.SERVED], _now())
            self._changed.set()

    def hold(self, line: Line) -> None:
        """Have this line taken, whether one is free or not."""
        if line not in self._taken:
            self._taken.add(line)
            self._uses[line.use] += 1
            line.share.busy += 1

    def give_back(self, line: Line) -> None:
        """Let the next one have a line."""
        if line in self._taken:
            self._taken.discard(line)
            self._uses[line.use] -= 1
            line.share.busy -= 1
        self._changed.set()

    @property
    def _dialled(self) -> int:
        # Who was refused and still waits at the backend has no line there; it counts against our own limit alone.
        return self._uses[_Use.DIALLED] + self._uses[_Use.SERVED]

    def _use(self, line: Line, use: _Use) -> None:
        if line in self._taken:
            self._uses[line.use] -= 1
            self._uses[use] += 1
        line.use = use

    async def _turn_of(self, share: Share) -> None:
        while (wait := self._wait(share)) > 0:
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait if wait < math.inf else None):
                    await self._changed.wait()

    def _wait(self, share: Share) -> float:
        if self.busy >= self.limit or share is not self._next:
            return math.inf
        return self._opens_in(self._dialled + 1)

    @property
    def _next(self) -> Share | None:
        return min((each for each in self._waiting if each.busy < each.limit), key=lambda each: each.busy, default=None)

    def _held(self, line: Line) -> Line:
        self.hold(line)
        return line

    def _opens_in(self, level: int) -> float:
        if self._levels.is_probe(level) and any(each.is_probe and each.use is _Use.DIALLED for each in self._taken):
            return math.inf  # what becomes of the one that is tried now says more than a second one would
        return max(0.0, self._levels.opens(level) - _now())


class Share:
    """One run's part of the lines that several runs share."""

    def __init__(self, lines: Lines, limit: int) -> None:
        self.limit = limit
        self.busy = 0
        self._lines = lines

    def __repr__(self) -> str:
        return f"<Share {self.busy} of {self.limit} busy, of {self._lines!r}>"

    async def take(self) -> Line:
        """Wait until this run may dial one more call, and take a line for it."""
        return await self._lines.take(self)

    def occupy(self) -> Line:
        """Take a line for a call of this run that is on it already, whether one is free or not."""
        return self._lines.occupy(self)


class Line:
    """One line that is taken; it is given back once."""

    def __init__(self, lines: Lines, share: Share, use: _Use = _Use.TAKEN) -> None:
        self.use = use
        self.share = share
        self.is_probe = False
        self._lines = lines

    def __repr__(self) -> str:
        return f"<Line {self.use.name.lower()}{', a try' if self.is_probe else ''}>"

    def dial(self) -> bool:
        """Dial on it; False when one call more was refused since it was taken, and then nobody is to be dialled."""
        return self._lines.try_to_dial(self)

    def refused(self) -> None:
        """The backend has no line for this call, which may wait there for one."""
        self._lines.refused(self)

    def lost(self) -> None:
        """The reply to the request was lost: the call may be on this line, and nothing is said of the others."""
        self._lines.lost(self)

    def served(self) -> None:
        """The call rings, talks or has ended: it has its line."""
        self._lines.served(self)

    def hold(self) -> None:
        """Take it again, if it was given back, for a call that turned out to be on it."""
        self._lines.hold(self)

    def free(self) -> None:
        """Give the line back; a second time does nothing."""
        self._lines.give_back(self)


def _now() -> float:
    return asyncio.get_running_loop().time()
