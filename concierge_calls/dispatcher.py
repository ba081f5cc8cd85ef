"""Brings together what it takes to dial somebody: a free line, the pace, a turn at the backend, and a row."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from enum import Enum, auto
from typing import Final

from concierge_calls.backend import Backend, Turn
from concierge_calls.claiming import Claims, LookAt
from concierge_calls.journal import Attempt, RunRecord
from concierge_calls.lines import Line, Lines, Share
from concierge_calls.pace import Pace, Patience
from concierge_calls.stopping import OFFLINE_LIMIT, Stopping
from concierge_calls.underway import Awaited, Underway

# Rows that are claimed side by side, where dials keep no distance, share a commit. As many as Vapi's gate has creates
# in flight: since each takes a turn first, more would only wait there, and what a crash leaves in doubt is no more.
SIDE_BY_SIDE: Final = 4

Claimed = tuple[Attempt, Line, Turn]
Dial = Callable[[Attempt, Line, Turn], object]


class _Nobody(Enum):
    """Why a line and a turn came to no dial."""

    JUST_NOW = auto()  # others were dialled or in doubt meanwhile, the row was held back, or nobody is dialled any more
    IS_LEFT = auto()  # no row is pending


class Dispatcher:
    """Has row after row dialled as soon as a line is free, until nobody is left to call."""

    def __init__(
        self,
        record: RunRecord,
        backend: Backend,
        lines: Lines | Share,
        pace: Pace,
        stopping: Stopping,
        underway: Underway,
        *,
        tell: Callable[..., object],
        redial_after: datetime | None,
        look: LookAt | None,
    ) -> None:
        """Dispatch this record's rows; what is claimed is put down as `underway`, and the claim is told."""
        self._record = record
        self._backend = backend
        self._lines = lines
        self._pace = pace
        self._stopping = stopping
        self._doubts = stopping.doubts
        self._underway = underway
        self._tell = tell
        self._changed = asyncio.Event()  # a call left the line or a look is over, so there may be somebody to call
        self._claims = Claims(record, backend.now, redial_after, tell, look, self.changed)
        self._helpers: set[asyncio.Task[None]] = set()
        self._patience = Patience(
            pace,
            OFFLINE_LIMIT,
            on_the_line=lambda: underway.count(Awaited.END),
            changed=self._changed,
            give_up=stopping.give_up,
        )

    def __repr__(self) -> str:
        return f"<Dispatcher {self._claims!r}, {len(self._helpers)} helpers>"

    def open(self) -> AbstractAsyncContextManager[None]:
        """Let dead runs be looked at while the context lasts."""
        return self._claims.open()

    def changed(self) -> None:
        """There may be somebody to call, or a line for somebody."""
        self._changed.set()

    async def dial_all(self, group: asyncio.TaskGroup, dial: Dial) -> None:
        """Hand over each row that is claimed, with its line and turn; returns once nobody is left, or may come.

        The `group` is that of the calls, so that nobody begins one more where one has broken the run.
        """
        for _ in range(0 if self._pace.keeps_distance else SIDE_BY_SIDE - 1):
            helper = group.create_task(self._help(dial))
            self._helpers.add(helper)
            helper.add_done_callback(self._helped)
        while (claimed := await self._next()) is not None:
            dial(*claimed)

    async def _help(self, dial: Dial) -> None:
        # Until nobody is left; rows that are put back after that are few, and come one by one.
        while (line := await self._line()) is not None:
            claimed = await self._claim_on(line)
            if claimed is _Nobody.IS_LEFT:
                return
            if isinstance(claimed, tuple):
                dial(*claimed)

    def _helped(self, helper: asyncio.Task[None]) -> None:
        self._helpers.discard(helper)
        self._changed.set()

    async def _next(self) -> Claimed | None:
        while (line := await self._line()) is not None:
            self._changed.clear()
            claimed = await self._claim_on(line)
            if isinstance(claimed, tuple):
                return claimed
            if claimed is _Nobody.IS_LEFT and not await self._more_may_come():
                return None
        return None

    async def _line(self) -> Line | None:
        if not (self._doubts.are_borne or self._stopping.is_set):  # who waits for word leaves the lines to the others
            with self._patience.waiting():
                await self._stopping.unless(self._doubts.wait())
        return await self._stopping.unless(self._lines.take(), Line.free)

    async def _claim_on(self, line: Line) -> Claimed | _Nobody:
        claimed: Claimed | _Nobody = _Nobody.JUST_NOW
        try:
            if (turn := await self._turn()) is not None:
                claimed = await self._claim_in(turn, line)
        finally:
            if isinstance(claimed, _Nobody):
                line.free()
        return claimed

    async def _turn(self) -> Turn | None:
        if not self._doubts.are_borne:
            return None
        if self._pace.left:
            await self._stopping.unless(self._pace.wait())
        with self._patience.waiting():
            return await self._stopping.unless(self._backend.turn(), lambda turn: turn.release(unused=True))

    async def _claim_in(self, turn: Turn, line: Line) -> Claimed | _Nobody:
        claimed: Claimed | _Nobody = _Nobody.JUST_NOW
        take_back = None
        try:
            if self._may_dial_on(line):  # others were dialled, or could not be, while this one waited for its turn
                self._doubts.sending(turn)
                take_back = self._pace.reserve()  # at once: another run of the same pace may be about to dial
                claimed = await self._stopping.unless(self._claim(turn, line), self._take_back) or claimed
        finally:
            if isinstance(claimed, _Nobody):
                turn.release(unused=True)
                self._doubts.answered(turn)
                if take_back is not None:
                    take_back()
        return claimed

    def _may_dial_on(self, line: Line) -> bool:
        return not (self._stopping.is_set or self._pace.left) and self._doubts.are_borne and line.dial()

    async def _claim(self, turn: Turn, line: Line) -> Claimed | _Nobody:
        # The turn is held already: what is committed here leaves at once, so a crash leaves as few as can be in doubt.
        claim = await self._claims.next()
        if claim.attempt is None or claim.event is None:
            return _Nobody.JUST_NOW if claim.skipped else _Nobody.IS_LEFT
        self._underway.put(claim.attempt, Awaited.END)
        self._pace.dialled()
        self._tell(claim.event, claim.attempt.asked)
        return claim.attempt, line, turn

    def _take_back(self, claimed: Claimed | _Nobody) -> None:
        if not isinstance(claimed, _Nobody):  # whoever claimed was cancelled just then
            self._underway.remove(claimed[0])
            self._record.take_back(claimed[0])

    async def _more_may_come(self) -> bool:
        # A call that was never dialled after all puts its row back, so more may come until every call has ended.
        awaited = self._underway.count(Awaited.END) or self._underway.count(Awaited.WORD)
        under_way = awaited or self._claims.are_waiting or self._helpers
        if self._stopping.is_set or not (under_way or self._changed.is_set()):
            return False
        await self._stopping.unless(self._changed.wait())
        return True
