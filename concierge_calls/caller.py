"""Works off a run's rows, at most N calls at once, and drains when it is told to stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import starmap
from typing import Any

from concierge_calls.backend import Backend, Placed, Turn
from concierge_calls.claiming import LookAt
from concierge_calls.dialer import Dialer
from concierge_calls.dispatcher import Dispatcher
from concierge_calls.errors import PlacementInDoubt
from concierge_calls.journal import Attempt, RunRecord
from concierge_calls.lines import Line, Lines, Share
from concierge_calls.models import CallState, Reason
from concierge_calls.observers import Observer, OnError
from concierge_calls.pace import Pace
from concierge_calls.stopping import LEAVING_LIMIT, Stopping
from concierge_calls.underway import Awaited, Look, Underway, receipt

Work = Coroutine[Any, Any, None]
Call = asyncio.Task[None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a run's dialling keeps to."""

    start_interval: float = 1.0  # seconds between two dials
    redial_after: datetime | None = None  # numbers that another run called since then are left alone
    hang_up: bool = False  # to stop is also to end the calls on the line


class Caller:
    """Takes row after row from the journal, has each dialled as soon as a line is free, and waits for all."""

    def __init__(
        self,
        record: RunRecord,
        backend: Backend,
        lines: Lines | Share,
        rules: Rules,
        *,
        observer: Observer,
        on_error: OnError | None = None,
        look: LookAt | None = None,
        pace: Pace | None = None,
        stopping: Stopping | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._record = record
        self._backend = backend
        self._lines = lines
        self._rules = rules
        pace = pace or Pace(rules.start_interval, sleep=sleep, monotonic=monotonic)
        self._stopping = stopping or Stopping()
        self._dialer = Dialer(record, backend, pace, self._stopping, observer=observer, on_error=on_error, sleep=sleep)
        self.underway = Underway(backend)
        self._dispatcher = Dispatcher(
            record,
            backend,
            lines,
            pace,
            self._stopping,
            self.underway,
            tell=self._dialer.tell,
            redial_after=rules.redial_after,
            look=look,
        )
        self._calls: set[Call] = set()
        self._followers: dict[str, Call] = {}  # call id -> who follows it
        self._requests: set[Call] = set()  # those of them whose request to dial is in flight
        self._unsent: set[int] = set()  # attempts whose calls have not begun yet
        self._hanging_up = self._leaving = False

    def __repr__(self) -> str:
        return f"<Caller {self.underway!r}, {self._lines!r}>"

    @property
    def stopped(self) -> Reason | None:
        """The account's or our own fault that ended the dialling."""
        return self._stopping.reason

    @property
    def interrupted(self) -> bool:
        """Whether the dialling ended before everybody was called, and not for such a fault."""
        return self._stopping.interrupted

    @property
    def on_the_line(self) -> int:
        """How many calls may be ringing or talking now."""
        return self.underway.count(Awaited.END)

    async def call_all(self) -> None:
        """Call everybody who is left to call; returns when each call is settled, or was left to `resume`.

        Expected failures become results. Raises JournalError when the record cannot be kept; all else is a bug.
        """
        async with self._stopping.shared(self._record.id), self._backend.open(), self._dispatcher.open():
            await self._work_off()
            if not self._stopping.offline:
                await self._work_off()  # what is in doubt is looked for once more, and may be dialled after all

    def drain(self, *, hang_up: bool = False) -> None:
        """Dial nobody new; the calls on the line are followed to their end, or hung up if that or the rules say so."""
        self._rules = replace(self._rules, hang_up=hang_up or self._rules.hang_up)
        self._stopping.interrupt()
        self._dispatcher.changed()
        self._hanging_up = self._rules.hang_up
        for call_id in self.underway.unended() if self._hanging_up else ():
            self._backend.hang_up(call_id)

    async def leave(self) -> None:
        """Stop following too, and leave the calls to `resume`; requests in flight get 10 seconds.

        So do calls that wait for a line: they are taken back, or the backend would dial them when nobody follows.
        """
        self.drain()
        self._leaving = True
        waiting = set(self._backend.withdraw())
        last = self._requests | {self._followers[call_id] for call_id in waiting if call_id in self._followers}
        for call in self._calls - last:
            call.cancel()
        if last:
            await asyncio.wait(last, timeout=LEAVING_LIMIT)
        for call in self._calls:
            call.cancel()

    async def _work_off(self) -> None:
        async with asyncio.TaskGroup() as group:
            await self._take_up(group)
            await self._dispatcher.dial_all(group, partial(self._begin, group))

    # Each call

    def _begin(self, group: asyncio.TaskGroup, attempt: Attempt, line: Line, turn: Turn) -> None:
        self._unsent.add(attempt.id)
        over = partial(self._let_go, attempt, line, turn)
        call = self._start(group, self._dial(attempt, line, turn), over, self._requests)
        if self._leaving:  # it was told as dialling just before
            asyncio.get_running_loop().call_later(LEAVING_LIMIT, call.cancel)

    def _start(self, group: asyncio.TaskGroup, work: Work, over: Callable[[], object], *among: set[Call]) -> Call:
        task = group.create_task(work)
        for calls in (self._calls, *among):
            calls.add(task)
            task.add_done_callback(calls.discard)
        task.add_done_callback(lambda _: over())  # for nothing is run of one that is cancelled before it begins
        return task

    async def _dial(self, attempt: Attempt, line: Line, turn: Turn) -> None:
        if (placed := await self._place(attempt, turn, line)) is not None:
            await self._follow(attempt, placed, line)

    async def _place(self, attempt: Attempt, turn: Turn, line: Line) -> Placed | None:
        placed = doubt = None
        self._unsent.discard(attempt.id)
        off_the_line = partial(self._await, attempt, None, line, Awaited.WORD)
        try:
            placed = await self._dialer.place(attempt, turn, line)
        except PlacementInDoubt as error:
            doubt = error
        self._requests.discard(asyncio.current_task())
        if self._leaving:  # only a call that waits for a line is followed, so that it is taken back
            return placed if placed is not None and placed.blocked else None
        return placed if doubt is None else await self._dialer.look_for(attempt, doubt, off_the_line)

    async def _follow(self, attempt: Attempt, placed: Placed, line: Line | None) -> None:
        awaits = partial(self._await, attempt, placed, line)
        awaits(Awaited.ANALYSIS if line is None else Awaited.END)
        if self._hanging_up:
            self._backend.hang_up(placed.call_id)
        if (task := asyncio.current_task()) is not None:
            self._followers[placed.call_id] = task
        try:
            await self._dialer.follow(attempt, placed, line, awaits)
        finally:
            self._followers.pop(placed.call_id, None)
            self._free(line)

    def _await(self, attempt: Attempt, placed: Placed | None, line: Line | None, what: Awaited) -> None:
        self.underway.put(attempt, what, placed)
        if what is not Awaited.END:
            self._free(line)
        elif line is not None:
            line.hold()

    def _let_go(self, attempt: Attempt, line: Line | None, turn: Turn | None = None) -> None:
        if turn is not None:
            turn.release()
            self._stopping.doubts.answered(turn)
            self._stopping.not_found(attempt.key, answered=False, last=True)  # in doubt or not, nobody looks for it now
        self.underway.remove(attempt)
        if attempt.id in self._unsent:
            self._record.take_back(attempt)
        self._free(line)

    def _free(self, line: Line | None) -> None:
        if line is not None:
            line.free()
        self._dispatcher.changed()

    # What an earlier process left, and what is still in doubt

    async def _take_up(self, group: asyncio.TaskGroup) -> None:
        left = [] if self._leaving else await self._record.unfinished()
        doubtful = []
        for attempt in [] if self._leaving else left:
            has_line = self.underway.take_up(attempt, searched=attempt.id in self._dialer.searched)
            line = self._lines.occupy() if has_line else None
            if (placed := receipt(attempt)) is None:
                doubtful.append((attempt, line))
            else:
                self._start(group, self._recover(attempt, line, placed), partial(self._let_go, attempt, line))
        if doubtful:
            self._start(group, self._look(group, doubtful), lambda: list(starmap(self._let_go, doubtful)))

    async def _look(self, group: asyncio.TaskGroup, doubtful: list[tuple[Attempt, Line | None]]) -> None:
        look = await self._dialer.find([attempt for attempt, _ in doubtful])
        while doubtful:
            attempt, line = doubtful.pop(0)
            self._start(group, self._recover(attempt, line, look), partial(self._let_go, attempt, line))

    async def _recover(self, attempt: Attempt, line: Line | None, known: Placed | Look) -> None:
        off_the_line = partial(self._await, attempt, None, line, Awaited.WORD)
        placed = known if isinstance(known, Placed) else await self._dialer.take_up(attempt, known, off_the_line)
        if placed is not None:
            if line is None and attempt.state is not CallState.ENDED:
                line = self._lines.occupy()
            await self._follow(attempt, placed, line)
