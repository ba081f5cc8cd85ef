"""What the runs of one server share, in virtual time, and what can be said of all of them together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from concierge_calls.caller import Caller
from concierge_calls.lines import Lines
from concierge_calls.pace import Pace
from concierge_calls.stopping import Brakes, Stopping
from tests.calling.fakes import VirtualLoop
from tests.calling.rehearsal import Rehearsal

T = TypeVar("T")


@dataclass
class Office:
    """What the runs of one server share, in virtual time."""

    lines: Lines
    pace: Pace
    brakes: Brakes

    @classmethod
    def of(cls, lines: int, interval: float = 0.0) -> Office:
        pace = Pace(interval, sleep=asyncio.sleep, monotonic=asyncio.get_running_loop().time)
        return cls(Lines(lines), pace, Brakes())

    async def caller(self, run: Rehearsal, *, calls_as: str = "", most: int | None = None) -> Caller:
        lines, stopping = self.lines.share(most or self.lines.limit), Stopping(self.brakes, calls_as)
        return await run.caller(shared=lines, pace=self.pace, stopping=stopping)

    async def call_all(self, run: Rehearsal, *, calls_as: str = "", most: int | None = None) -> Caller:
        """Call everybody of this run, and return the caller that did."""
        caller = await self.caller(run, calls_as=calls_as, most=most)
        await caller.call_all()
        return caller

    async def together(self, runs: Sequence[Rehearsal]) -> list[Caller]:
        return list(await asyncio.gather(*(self.call_all(run) for run in runs)))


def played(runs: Sequence[Rehearsal], scenario: Callable[[], Awaitable[T]]) -> T:
    async def play() -> T:
        return await scenario()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        try:
            return runner.run(play())
        finally:
            for run in runs:
                run.die()


def starts(runs: Sequence[Rehearsal]) -> list[float]:
    """When each request left, whichever run's it was."""
    return sorted(at for run in runs for at in run.backend.starts)


def statuses(runs: Sequence[Rehearsal]) -> list[str]:
    return [status for run in runs for status in run.statuses()]
