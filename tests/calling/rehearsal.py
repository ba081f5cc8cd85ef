"""A run on a real journal and a backend on paper, and all that is told of it."""

from __future__ import annotations

import asyncio
import inspect
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar, cast

from concierge_calls.caller import Caller, Rules
from concierge_calls.claiming import LookAt
from concierge_calls.errors import PlacementError
from concierge_calls.journal import Clock, Journal, NewRun, Owner, RunRecord
from concierge_calls.lines import Lines, Share
from concierge_calls.models import (
    CallEvent,
    CallOutcome,
    CallRequest,
    CallResult,
    CallStatus,
    Provider,
    ServiceRequest,
)
from concierge_calls.pace import Pace
from concierge_calls.stopping import Stopping
from tests.calling.fakes import FakeBackend, NoWaiting, Take, VirtualLoop, moment

T = TypeVar("T")
Takes = Mapping[int, Sequence[Take]]


class Watched:
    """A run's record that tells the clock while it is written to, and that a test can break."""

    def __init__(self, record: RunRecord, clock: NoWaiting, broken: Callable[[str], Exception | None]) -> None:
        self._record = record
        self._clock = clock
        self._broken = broken

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._record, name)
        return self._watching(method) if inspect.iscoroutinefunction(method) else method

    def _watching(self, method: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
        async def write(*arguments: Any, **named: Any) -> Any:
            if (error := self._broken(method.__name__)) is not None:
                raise error
            with self._clock.writing():
                return await method(*arguments, **named)

        return write


class Attempted(NamedTuple):
    """An attempt as it stands in the journal's file."""

    row: int
    ordinal: int
    state: str
    key: str
    call_id: str | None
    withdrawing: bool


class Rehearsal:
    """A run of so many rows on a real journal, and all that is told of it."""

    def __init__(self, folder: Path, rows: int, takes: Takes | None = None) -> None:
        self.events: list[CallEvent] = []
        self.errors: list[tuple[PlacementError, CallRequest, int]] = []
        self.observer: Callable[[CallEvent], object] = self.events.append
        self.on_error: Callable[..., object] = lambda *told: self.errors.append(told)
        self.look: LookAt | None = None  # what the caller is handed to look at dead runs
        self.broken: Callable[[str], Exception | None] = lambda method: None
        self.backend = FakeBackend(takes or {}, self._committed, self._intended)
        self.run_id = ""
        self._rows = rows
        self._path = folder / "journal.db"
        self._open: list[Any] = []

    def play(self, scenario: Callable[[Rehearsal], Awaitable[T]]) -> T:
        """Play a scenario to its end; an hour takes no time."""
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            try:
                return runner.run(cast("Coroutine[Any, Any, T]", scenario(self)))
            finally:
                self.die()

    def call_all(self, **how: Any) -> Caller:
        """Call everybody, and return the caller that did."""

        async def scenario(_: Rehearsal) -> Caller:
            caller = await self.caller(**how)
            await caller.call_all()
            return caller

        caller = self.play(scenario)
        assert self.backend.turns_out == 0
        return caller

    async def caller(
        self,
        lines: int = 5,
        *,
        shared: Lines | Share | None = None,
        pace: Pace | None = None,
        stopping: Stopping | None = None,
        **rules: Any,
    ) -> Caller:
        """Take up the run as a new process does, or begin it; `shared` lines and the `pace` are other runs', too."""
        loop = cast(VirtualLoop, asyncio.get_running_loop())
        clock = Clock(now=lambda: moment(loop.time()), monotonic=loop.time)  # asked by the writer's thread too
        journal = Journal(self._path, clock)
        with loop.clock.writing():
            record = await (journal.open_run(self.run_id) if self.run_id else self._begun(journal, lines))
        self.run_id = record.id
        self._open = [record, journal]
        return Caller(
            cast(RunRecord, Watched(record, loop.clock, lambda method: self.broken(method))),
            self.backend,
            shared or Lines(lines),
            Rules(**{"start_interval": 0.0} | rules),
            observer=lambda event: self.observer(event),
            on_error=lambda *told: self.on_error(*told),
            look=self.look,
            pace=pace,
            stopping=stopping,
            monotonic=loop.time,
        )

    @property
    def record(self) -> RunRecord:
        """The run's record, while a caller works with it; nothing in it waits for the clock."""
        loop = cast(VirtualLoop, asyncio.get_running_loop())
        return cast(RunRecord, Watched(self._open[0], loop.clock, lambda method: self.broken(method)))

    async def leave_dead_run(self, rows: Sequence[int]) -> str:
        """Have another run die with calls to these rows' numbers on the line; returns its id."""
        journal = Journal(self._path)
        with cast(VirtualLoop, asyncio.get_running_loop()).clock.writing():
            record = await self._begun(journal, 1, rows)
            for number in range(len(rows)):
                attempt = (await record.claim(redial_after=None)).attempt
                assert attempt is not None
                await record.placed(attempt, f"theirs-{number}", self.backend.now())
        record.close()
        journal.close()
        return record.id

    async def note_that_it_is_over(self, run_id: str) -> None:
        """Have all the calls of that run be over, as a look at the backend finds."""
        with cast(VirtualLoop, asyncio.get_running_loop()).clock.writing():
            async with cast(Journal, self._open[1]).looking_at(run_id) as look:
                for attempt in await look.on_the_line():
                    await look.ended(attempt, CallOutcome(status=CallStatus.COMPLETED), None)

    async def do_not_call(self, row: int) -> None:
        """Have somebody else keep that the number of this row is not to be called."""
        with cast(VirtualLoop, asyncio.get_running_loop()).clock.writing():
            await cast(Journal, self._open[1]).add_do_not_call(_asked(row).provider.phone or "")

    def die(self) -> None:
        """Close the journal as the end of a process does."""
        while self._open:
            self._open.pop(0).close()

    def results(self) -> Sequence[CallResult]:
        with Journal(self._path) as journal:
            return list(journal.result(self.run_id).results)

    def statuses(self) -> list[str]:
        return [result.status.value for result in self.results()]

    def peak(self) -> int:
        with Journal(self._path) as journal:
            return journal.result(self.run_id).stats.peak_concurrent

    def attempts(self) -> list[Attempted]:
        """Every attempt, row by row, read from the file by a connection of our own."""
        sql = "SELECT idx, ordinal, state, key, call_id, withdrawing FROM attempts ORDER BY idx, ordinal"
        with closing(sqlite3.connect(self._path)) as db:
            return [Attempted(*row) for row in db.execute(sql)]

    def told(self, index: int) -> list[str]:
        """The kinds of event that were told of this row."""
        return [event.kind.removeprefix("call.") for event in self.events if event.index == index]

    def _committed(self, key: str) -> str | None:
        return next((attempt.state for attempt in self.attempts() if attempt.key == key), None)

    def _intended(self, key: str) -> bool:
        return any(attempt.withdrawing for attempt in self.attempts() if attempt.key == key)

    async def _begun(self, journal: Journal, lines: int, rows: Sequence[int] | None = None) -> RunRecord:
        new = NewRun(
            owner=Owner.CLI, via="direct", simulated=False, max_concurrent=lines, source="providers.csv", version="0"
        )
        record = await journal.draft(new)
        whom = range(self._rows) if rows is None else rows
        await record.add([replace(_asked(row), index=index) for index, row in enumerate(whom)])
        await record.start()
        return record


async def killed(run: Rehearsal, seconds: float, lines: int = 5) -> None:
    """Begin the run and kill its process so many seconds later."""
    calling = asyncio.ensure_future((await run.caller(lines=lines)).call_all())
    await asyncio.sleep(seconds)
    calling.cancel()
    await asyncio.wait([calling])
    run.die()
    run.events.clear()
    run.backend.looks.clear()


def _asked(index: int) -> CallRequest:
    provider = Provider(name=f"Provider {index}", phone=f"+1312555{100 + index:04}", line=index + 2)
    return CallRequest(index=index, provider=provider, request=ServiceRequest(service_needed="plumbing"))


class Rehearse(Protocol):
    """Begins a rehearsal of a run of so many rows; what becomes of a row's attempts is said by its index."""

    def __call__(self, rows: int, takes: Takes | None = None) -> Rehearsal: ...
