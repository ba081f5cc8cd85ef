"""One run from plan to results, the same for the command line, the HTTP API and Python."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from concierge_calls.backend import ENDING, RINGING
from concierge_calls.draft import Order, write_down
from concierge_calls.errors import (
    IllegalTransition,
    JournalError,
    JournalFull,
    KestraNotStarted,
    NobodyDialled,
    RunInterrupted,
)
from concierge_calls.exchange import Exchange
from concierge_calls.journal import Attempt, HistoryRow, Journal, Owner, RunRecord, ToldBy
from concierge_calls.looking import check_again, look_at, look_for
from concierge_calls.models import CallEvent, CallRequest, CallResult, CallState, Reason, RunResult
from concierge_calls.observers import Observer, OnError, harmless
from concierge_calls.routing import Route
from concierge_calls.stopping import Worker
from concierge_calls.ways import Ways

if TYPE_CHECKING:
    from concierge_calls.forecast import Forecast
    from concierge_calls.settings.loading import Settings

T = TypeVar("T")

UNFINISHED = frozenset({CallState.PENDING, CallState.DIALING, CallState.PLACED, CallState.ENDED})

FULL = (
    "The disk that holds the journal is full, so nobody else was dialled; the calls on the line were followed to their"
    " end. Free some room, then finish the run."
)

STOPPED = Reason("stopped", "The run was stopped for good before this provider was called.")

OnCaller = Callable[[Worker], object]


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
        routes: Sequence[Route] = (Route.DIRECT,),
        exchange: Exchange | None = None,
    ) -> None:
        """Take a run whose record is held; `begun` when an earlier process has begun it.

        It goes by the first of the `routes` that can be taken. What it shares with other runs is on the `exchange`.
        """
        self.begun = begun  # no longer a draft
        self._stopped, self._hang_up = journal.stopped_for_good(record.id)  # and whoever did may want the calls ended
        self.dials = self._stopped is None  # those who are left to call, too
        self.again: Sequence[Attempt] = ()  # in doubt, and to be dialled once more unless they are found
        self.warnings: list[str] = []  # what is worth a look before anybody is dialled
        self.longest_first: frozenset[ToldBy] = frozenset()  # who tells which calls are long; nobody: the file's order
        self._journal = journal
        self._record = record
        self.settings = settings
        self._order = order
        self.ways = Ways(record, settings, order, routes, exchange)
        self._caller: Worker | None = None

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

    def undialled(self) -> Iterator[CallResult]:
        """Return the results of those who are left to call or are skipped, in the file's order."""
        return self._journal.in_state(self.id, CallState.PENDING, CallState.SKIPPED)

    def live(self) -> Iterator[CallEvent]:
        """Return what is known of the calls that an earlier process left on the line."""
        return self._journal.live(self.id)

    def line_times(self) -> Iterator[float]:
        """Return the seconds for which each call had its line, in the file's order."""
        return self._journal.line_times(self.id)

    def forecast(self, results: Iterable[CallResult]) -> Forecast:
        """Return what the run would do now, going through these results once."""
        from concierge_calls.forecast import forecast

        settings = self.settings
        return forecast(
            results,
            now=datetime.now().astimezone(),
            max_concurrent=settings.max_concurrent,
            start_interval=settings.start_interval,
            call_timeout=settings.call_timeout,
            longest_call=RINGING + settings.call_timeout + ENDING,
            analysis_timeout=settings.analysis_timeout,
            rate=self._journal.cost_a_minute(),
        )

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Open the way to those who are called and read what can be read before the first dial.

        Where nobody is left to call, nobody is asked. Raises BackendUnreachable, KestraError and RunRefused, and
        UsageError for a number that is to be dialled again and is on the line in another run.
        """
        if not self._asks_anybody():
            yield
            return
        async with AsyncExitStack() as stack:
            handed_over = await self._handed_over() if self.begun else []
            await self.ways.open(
                stack,
                rows=self._left + len(handed_over) if self.dials else 0,
                handed_over=bool(handed_over),
                again=bool(self.again),
            )
            self.warnings += self.ways.notes
            await check_again(self._journal, self.id, self.again, self._look_at)
            yield

    async def start(
        self, observer: Observer, *, on_error: OnError | None = None, on_caller: OnCaller = lambda _: None
    ) -> RunResult:
        """Call everybody, while connected, and return the result; `on_caller` is handed who can be told to stop.

        Raises NobodyDialled when it was told so before the first dial, and KestraNotStarted when Kestra would not begin
        after all: then no run is kept, unless its id was promised. Raises JournalFull when there is too little room on
        the disk for the results; RunInterrupted when it filled up since, or when the journal cannot be written any
        more. Until then nothing of a run that was begun before has changed.
        """
        observer = harmless(observer)
        if not self.ways.are_open:
            await self._begin(observer)  # everybody is skipped
            await self._finish(None, observer)
            return self.result()
        await self._record.keep_room(self.settings.max_concurrent)
        await self._look(observer)
        self._caller = caller = self._worker(observer, on_error)
        on_caller(caller)  # from here on whoever is told to stop leaves a run that can be resumed
        fresh = await self._begin(observer)
        try:
            await _kept(caller.call_all())
        except KestraNotStarted as error:
            self.begun = not fresh or self._is_promised
            if self.begun:
                await _kept(self._finish(Reason("kestra_not_started", error.message) if fresh else None, observer))
            raise
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
        await self._record.stop_for_good(STOPPED, hang_up=hang_up)

    def document_is_out(self) -> None:
        """Keep that the document was written, so that no resume owes it any more."""
        with suppress(JournalError):  # then it is only written once more
            self._record.document_is_out()

    async def plan(self) -> None:
        """Plan every row, write it down and order the rows; raises ProvidersFileError when no row can be used."""
        self.warnings = await write_down(self._order, self.settings, self._journal, self._record)
        self.longest_first = await self._record.arrange()

    async def counts(self) -> Mapping[CallState, int]:
        """Return how many rows are in each state."""
        return await self._record.counts()

    @property
    def _left(self) -> int:
        stats = self.result().stats
        return stats.pending + stats.not_called if self.dials else 0

    async def handed_over(self) -> int:
        """Return of how many rows an execution at Kestra may still tell what became of them."""
        return sum(attempt.state is CallState.DIALING for attempt in await self._handed_over())

    async def _handed_over(self) -> list[Attempt]:
        handovers = self._record.handovers
        return [each for handover in await handovers.still_open() for each in await handovers.attempts(handover)]

    def _asks_anybody(self) -> bool:
        stats = self.result().stats
        return bool(self._left or (self.begun and (stats.in_progress or stats.uncertain)))

    async def _look(self, observer: Observer) -> None:
        if not self.dials:
            self._record.dial_nobody()
        if self.again and (backend := self.ways.backend) is not None:
            for row, attempt, placed in await look_for(self._record, self.again, backend):
                self._tell(row, observer, request=attempt.asked, call_id=placed.call_id)

    async def _look_at(self, run_id: str) -> None:
        if (backend := self.ways.backend) is not None:
            await look_at(self._journal, run_id, self.settings, backend)

    @property
    def _is_promised(self) -> bool:
        # Whoever asked by HTTP has been told its id, so it is kept though nobody was dialled yet.
        return self._order.owner is Owner.API

    def _worker(self, observer: Observer, on_error: OnError | None) -> Worker:
        worker = self.ways.worker(observer, on_error, self._look_at, dials=self.dials, again=bool(self.again))
        if self.is_stopped:
            worker.drain(hang_up=self._hang_up)
        return worker

    async def _begin(self, observer: Observer) -> bool:
        if self.begun:
            await self._record.take_up()
            return False
        started = await self._record.start()
        self.begun = True
        self._tell(started, observer)
        # The journal tells of the skipped rows in the file's order.
        skipped = self._journal.in_state(self.id, CallState.SKIPPED)
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
