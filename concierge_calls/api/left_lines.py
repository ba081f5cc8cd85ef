"""The lines on which an earlier server left calls: no other run is given them before their own follows them again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from concierge_calls.api.work import Work
from concierge_calls.lines import Line, Lines
from concierge_calls.models import RunResult
from concierge_calls.routing import Route

LOOK = 0.05  # seconds between two looks whether a run follows its calls again
LOOKS = 100  # once it is worked off; by then all of its calls were followed, and may have ended between two looks


class LeftLines:
    """Holds a line for each call that may be on one, from before its run is taken up until that follows it."""

    def __init__(self, lines: Lines) -> None:
        """Hold some of these lines."""
        self._lines = lines
        self._held: dict[Work, list[Line]] = {}

    def __repr__(self) -> str:
        return f"<LeftLines {sum(map(len, self._held.values()))} held, of {self._lines!r}>"

    def hold(self, work: Work, known: RunResult) -> None:
        """Hold the lines of a run that is about to be taken up; one that goes by Kestra has none here."""
        if work not in self._held and known.run.via != Route.KESTRA:
            number = known.stats.in_progress + known.stats.uncertain
            self._held[work] = [self._lines.occupy() for _ in range(number)]

    def free(self, work: Work) -> None:
        """Give them back; a second time does nothing."""
        for line in self._held.pop(work, ()):
            line.free()

    @asynccontextmanager
    async def held(self, work: Work, known: RunResult) -> AsyncIterator[None]:
        """Hold them until the run, which is taken up meanwhile, has lines of its own for its calls."""
        self.hold(work, known)
        freeing = asyncio.ensure_future(self._free_once_followed(work))
        try:
            yield
        finally:
            freeing.cancel()
            self.free(work)

    async def _free_once_followed(self, work: Work) -> None:
        looks = 0
        while not (work.follows or work.over.is_set() or looks > LOOKS):
            looks += work.is_worked_off
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await work.over.wait()
        self.free(work)
