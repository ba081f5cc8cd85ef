"""One run from plan to results, the same for the command line, the HTTP API and Python."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from concierge_calls import routing
from concierge_calls.backend import Backend, Identity
from concierge_calls.caller import Caller, Rules
from concierge_calls.draft import Order, write_down
from concierge_calls.errors import IllegalTransition, JournalError, JournalFull, NobodyDialled, RunInterrupted
from concierge_calls.exchange import Exchange
from concierge_calls.journal import Attempt, HistoryRow, Journal, Owner, RunRecord
from concierge_calls.lines import Lines
from concierge_calls.looking import check_again, look_at, look_for
from concierge_calls.models import (
    CallEvent,
    CallRequest,
    CallResult,
    CallState,
    CallStatus,
    Reason,
    RunResult,
)
from concierge_calls.observers import Observer, OnError, harmless

if TYPE_CHECKING:
    from concierge_calls.settings.loading import Settings

T = TypeVar("T")

UNFINISHED = frozenset({CallState.PENDING, CallState.DIALING, CallState.PLACED, CallState.ENDED})

FULL = (
    "The disk that holds the journal is full, so nobody else was dialled; the calls on the line were followed to their"
    " end. Free some room, then finish the run."
)

STOPPED = Reason("stopped", "The run was stopped for good before this provider was called.")

OnCaller = Callable[[Caller], object]


class Run:
    """A run that is planned and written down, as a draft until it starts."""

    def __init__(
        self,
        journal: Journal,
        record: RunRecord,
        settings: Settings,
        order: Order,
        *,
        begun: bool = False,
        exchange: Exchange | None = None,
    ) -> None:
        """Take a run whose record is held; `begun` when an earlier process has begun it.

        What it shares with other runs is on the `exchange`.
        """
        self.begun = begun  # no longer a draft
        self._stopped = journal.stopped_for_good(record.id)
        self.dials = self._stopped is None  # those who are left to call, too
        self.again: Sequence[Attempt] = ()  # in doubt, and to be dialled once more unless they are found
        self.identity: Identity | None = None  # who calls, once that is known
        self.warnings: list[str] = []  # what is worth a look before anybody is dialled
        self._journal = journal
        self._record = record
        self.settings = settings
        self._order = order
        self._exchange = exchange
        self._backend: Backend | None = None
        self._caller: Caller | None = None
        self._hang_up = order.hang_up

    @property
    def id(self) -> str:
        """The run's id in the journal."""
        return self._record.id

    @property
    def is_stopped(self) -> bool:
        """Whether it was stopped for good, so that nobody is dialled any more."""
        return self._stopped is not None

    @property
    def simulated(self) -> bool:
        """Whether no phone rings."""
        return self._order.simulate

    def result(self) -> RunResult:
        """Return the run as the journal has it now."""
        return self._journal.result(self.id, dry_run=self._order.dry_run)

    def live(self) -> Iterator[CallEvent]:
        """Return what is known of the calls that an earlier process left on the line."""
        return self._journal.live(self.id)

    def line_times(self) -> Iterator[float]:
        """Return the seconds for which each call had its line, in the file's order."""
        return self._journal.line_times(self.id)

    def cost_a_minute(self) -> float | None:
        """Return what a minute has cost in earlier runs, in dollars; None where that is not known."""
        return self._journal.cost_a_minute()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Open the way to those who are called and read what can be read before the first dial.

        Where nobody is left to call, nobody is asked. Raises BackendUnreachable and RunRefused, and UsageError for a
        number that is to be dialled again and is on the line in another run.
        """
        if not self._asks_vapi():
            yield
            return
        async with self._way() as backend:
            self.identity = await backend.check()
            self._backend = backend
            await check_again(self._journal, self.id, self.again, self._look_at)
            yield

    async def start(
        self, observer: Observer, *, on_error: OnError | None = None, on_caller: OnCaller = lambda _: None
    ) -> RunResult:
        """Call everybody, while connected, and return the result; `on_caller` is handed who can be told to stop.

        Raises NobodyDialled when it was told so before the first dial, and then no run is kept; JournalFull when there
        is too little room on the disk for the results; RunInterrupted when it filled up since, or when the journal
        cannot be written any more. Until then nothing of a run that was begun before has changed.
        """
        observer = harmless(observer)
        if self._backend is None:
            await self._begin(observer)  # everybody is skipped
            await self._finish(None, observer)
            return self.result()
        await self._record.keep_room(self.settings.max_concurrent)
        await self._look(self._backend, observer)
        self._caller = caller = self._new_caller(self._backend, observer, on_error)
        on_caller(caller)  # from here on whoever is told to stop leaves a run that can be resumed
        fresh = await self._begin(observer)
        await _kept(caller.call_all())
        full = self._record.lacks_room
        if fresh and not self._is_promised and (caller.interrupted or full) and not await self._record.has_dialled():
            self.begun = False
            raise JournalFull if full else NobodyDialled
        await _kept(self._finish(caller.stopped, observer))
        result = await _kept(asyncio.to_thread(self.result))  # whoever waits for a journal that is held hears Ctrl-C
        if full and not result.run.finished:
            raise RunInterrupted(FULL)
        return result

    async def stop(self, *, hang_up: bool) -> None:
        """Dial nobody new, for good: no resume dials them either; the calls on the line may be hung up.

        That is kept when this returns. Raises JournalError.
        """
        self._stopped, self.dials = STOPPED, False
        self._hang_up = hang_up or self._hang_up
        self._record.dial_nobody()
        if self._caller is not None:
            self._caller.drain(hang_up=hang_up)
        await self._record.stop_for_good(STOPPED)

    def document_is_out(self) -> None:
        """Keep that the document was written, so that no resume owes it any more."""
        with suppress(JournalError):  # then it is only written once more
            self._record.document_is_out()

    async def plan(self) -> None:
        """Plan every row and write it down; raises ProvidersFileError when no row can be used."""
        self.warnings = await write_down(self._order, self.settings, self._journal, self._record)

    async def counts(self) -> Mapping[CallState, int]:
        """Return how many rows are in each state."""
        return await self._record.counts()

    def _asks_vapi(self) -> bool:
        stats = self.result().stats
        left = stats.pending + stats.not_called if self.dials else 0
        return bool(left or (self.begun and (stats.in_progress or stats.uncertain)))

    async def _look(self, backend: Backend, observer: Observer) -> None:
        if not self.dials:
            self._record.dial_nobody()
        if self.again:
            for row, attempt, placed in await look_for(self._record, self.again, backend):
                self._tell(row, observer, request=attempt.asked, call_id=placed.call_id)

    async def _look_at(self, run_id: str) -> None:
        if self._backend is not None:
            await look_at(self._journal, run_id, self.settings, self._backend)

    @property
    def _is_promised(self) -> bool:
        # Whoever asked by HTTP has been told its id, so it is kept though nobody was dialled yet.
        return self._order.owner is Owner.API

    def _way(self) -> AbstractAsyncContextManager[Backend]:
        if self._exchange is not None:
            return nullcontext(self._exchange.backend(self.settings))
        return routing.backend(self.settings, simulate=self._order.simulate)

    def _new_caller(self, backend: Backend, observer: Observer, on_error: OnError | None) -> Caller:
        most, shared = self.settings.max_concurrent, self._exchange
        lines = Lines(most) if shared is None else shared.lines.share(most)
        pace = None if shared is None else shared.pace
        rules = self._rules()
        caller = Caller(
            self._record, backend, lines, rules, observer=observer, on_error=on_error, look=self._look_at, pace=pace
        )
        if self._stopped is not None:
            caller.drain()
        return caller

    def _rules(self) -> Rules:
        simulate = self._order.simulate
        return Rules(
            start_interval=0.0 if simulate else self.settings.start_interval,
            redial_after=self._order.redial_after(self.settings),
            hang_up=self._hang_up,
        )

    async def _begin(self, observer: Observer) -> bool:
        if self.begun:
            await self._record.take_up()
            return False
        started = await self._record.start()
        self.begun = True
        self._tell(started, observer)
        # The journal tells of the skipped rows in the file's order.
        skipped = (result for result in self.result().results if result.status is CallStatus.SKIPPED)
        after = started.seq
        while rows := self._record.history(after=after):
            for row in rows:
                result = next(skipped, None)
                self._tell(row, observer, request=None if result is None else _asked(result), result=result)
            after = rows[-1].seq
        return True

    def _tell(self, row: HistoryRow, observer: Observer, **known: Any) -> None:
        observer(CallEvent(seq=row.seq, at=row.at, run_id=self.id, kind=row.kind, index=row.index, **known))

    async def _finish(self, stopped: Reason | None, observer: Observer) -> None:
        counts = await self._record.counts()
        for_good = self._stopped if counts[CallState.PENDING] else None
        finished = not any(counts[state] for state in UNFINISHED - ({CallState.PENDING} if for_good else set()))
        row = await self._record.finish(finished=finished, stopped=for_good or (None if finished else stopped))
        self._tell(row, observer)


async def _kept(work: Coroutine[Any, Any, T]) -> T:
    try:
        return await work
    except* JournalError as group:
        error = _first(group)
        if isinstance(error, IllegalTransition):
            raise error from group
        raise RunInterrupted(f"{error} The run stops here; the calls on the line go on.") from group


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _asked(result: CallResult) -> CallRequest:
    return CallRequest(index=result.index, provider=result.provider, request=result.request, skip=result.error)
