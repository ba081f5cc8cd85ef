"""Takes one attempt from its request to its result, each step journalled and then told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from concierge_calls.backend import Backend, Placed, Progress, Sighting, Stage, Turn, Verdict
from concierge_calls.errors import (
    AccountRefused,
    ComeBackLater,
    NumberRefused,
    PlacementError,
    PlacementInDoubt,
    PlacementInterrupted,
    ReadFailed,
    ReadRefused,
)
from concierge_calls.journal import Attempt, HistoryRow, RunRecord
from concierge_calls.lines import Line
from concierge_calls.models import (
    AnalysisStatus,
    CallEvent,
    CallOutcome,
    CallRequest,
    CallResult,
    CallState,
    CallStatus,
    EventKind,
    Reason,
)
from concierge_calls.observers import Observer, OnError, harmless
from concierge_calls.pace import Pace
from concierge_calls.stopping import Stopping
from concierge_calls.underway import Awaited, Found, Look, Search

# A call in doubt is looked for so many seconds after its reply was lost, or after its request if an earlier process
# sent it; its line is held as long.
LOOK_AFTER = (1.0, 3.0, 10.0, 30.0, 60.0, 120.0)
FIRST_LOOKS = 10.0  # seconds; what they found decides whether anybody else is dialled when replies are lost in a row
LOOK_AGAIN = 30.0  # seconds; after the last one, for as long as that was not answered
LOOK_BACK = timedelta(minutes=10)  # how far this machine's clock may be off
LOOK_AHEAD = timedelta(hours=1)  # the same where it is behind, and a request that was long under way

log = logging.getLogger(__name__)

STEPS = {Stage.RINGING: EventKind.CALL_RINGING, Stage.IN_PROGRESS: EventKind.CALL_IN_PROGRESS}
# The codes of a refusal for lack of lines; a backend that takes no more requests may mean its lines.
LACKS_LINES = frozenset({"no_line", "rate_limit"})
PUT_BACK = frozenset({Verdict.NO_LINE, Verdict.WITHDRAWN, Verdict.ACCOUNT})


class Dialer:
    """Dials attempts that were claimed; expected failures become results, or put the row back."""

    def __init__(
        self,
        record: RunRecord,
        backend: Backend,
        pace: Pace,
        stopping: Stopping,
        *,
        observer: Observer,
        on_error: OnError | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._record = record
        self._backend = backend
        self._pace = pace
        self._observer = harmless(observer)
        self._on_error = harmless(on_error) if on_error else _nobody
        self._stopping = stopping
        self._sleep = sleep
        self.searched: dict[int, PlacementInDoubt] = {}  # attempts that were searched for here, and what befell them

    def tell(self, row: HistoryRow, asked: CallRequest, **known: Any) -> None:
        """Tell the observer what has just been committed; `known` are fields of the event."""
        run = self._record.id
        if row.result is not None:  # it is in doubt as before, whatever became of this attempt
            known["result"] = row.result
        event = CallEvent(seq=row.seq, at=row.at, run_id=run, kind=row.kind, index=asked.index, request=asked, **known)
        self._observer(event)

    async def place(self, attempt: Attempt, turn: Turn, line: Line) -> Placed | None:
        """Send the request once; None when nobody is to be followed, which the journal then knows.

        Raises PlacementInDoubt when the phone may have rung; the journal still says `dialing`.
        """
        try:
            placed = await self._backend.place(attempt.asked, attempt.key, turn)
        except PlacementInDoubt:
            self._stopping.doubts.lost(attempt.key)
            line.lost()
            raise
        except PlacementError as error:
            await self._not_placed(attempt, error, line)
            return None
        finally:
            turn.release()
            self._stopping.doubts.answered(turn)
        self._pace.answered()
        self._stopping.doubts.arrived()
        if placed.blocked:
            line.refused()
        await self.keep(attempt, placed)
        return placed

    async def keep(self, attempt: Attempt, placed: Placed, *, adopted: bool = False) -> None:
        """Commit the call's id, from when on it is followed and never dialled again."""
        row = await self._record.placed(attempt, placed.call_id, placed.created_at, adopted=adopted)
        self.tell(row, attempt.asked, call_id=placed.call_id)

    async def look_for(
        self, attempt: Attempt, error: PlacementInDoubt, off_the_line: Callable[[], object], look: Look | None = None
    ) -> Placed | None:
        """Look for a call in doubt until it is found or its time is over, when it becomes uncertain.

        A look that was not answered says nothing, so the last one is taken again until it is, but off the line. None
        too when Vapi was out of reach for long; then the journal still says `dialing`, and a resume looks for it. What
        an earlier process left counts from its request on, and `look` is the one that was taken for it, in vain.
        """
        self.searched[attempt.id] = error
        lost_for = 0.0 if look is None else (self._backend.now() - attempt.dialed_at).total_seconds()
        search = Search(partial(self._look, [attempt]), self._sleep, lost_for=lost_for, after=look)

        def in_vain(moment: float) -> None:
            if moment >= FIRST_LOOKS:
                self._stopping.not_found(attempt.key, answered=search.found is not None)

        await search.look_at(LOOK_AFTER, in_vain)
        if search.found is None:
            off_the_line()
            await search.look_every(LOOK_AGAIN, lambda: self._stopping.offline)
        return await self._searched_for(attempt, error, search.found)

    async def _searched_for(self, attempt: Attempt, error: PlacementInDoubt, found: Found) -> Placed | None:
        if found:
            self._stopping.doubts.found(attempt.key)
            await self.keep(attempt, found[attempt.key])
            return found[attempt.key]
        self._stopping.not_found(attempt.key, answered=found is not None, last=True)
        if found is not None:
            await self._doubt(attempt, CallOutcome(status=CallStatus.UNCERTAIN, error=_reason(error)))
            self._on_error(error, attempt.asked, attempt.asked.index)
        return None

    async def find(self, attempts: Sequence[Attempt]) -> Look:
        """Look once for these attempts' calls, by their keys."""
        return await Look.taken(self._look(attempts))

    async def take_up(self, attempt: Attempt, look: Look, off_the_line: Callable[[], object]) -> Placed | None:
        """Adopt a call in doubt that was found by this look, or search for it unless this process has done that."""
        if look.found and attempt.key in look.found:
            placed = look.found[attempt.key]
            self._stopping.doubts.found(attempt.key)
            await self.keep(attempt, placed, adopted=attempt.state is CallState.UNCERTAIN)
            return placed
        is_over = attempt.id in self.searched
        doubt = self.searched.setdefault(attempt.id, PlacementInterrupted())
        if attempt.state is CallState.UNCERTAIN:
            return None
        if is_over:
            return await self._searched_for(attempt, doubt, None if look.found is None else {})
        return await self.look_for(attempt, doubt, off_the_line, look)

    async def _look(self, attempts: Sequence[Attempt]) -> Found:
        since = min(attempt.dialed_at for attempt in attempts) - LOOK_BACK
        until = max(attempt.dialed_at for attempt in attempts) + LOOK_AHEAD
        try:
            found = await self._backend.find([attempt.key for attempt in attempts], since, until)
        except ReadRefused:  # whoever says no goes on saying no
            return {}
        except ReadFailed:
            return None
        known = {attempt.key: attempt for attempt in attempts}
        return {k: replace(v, rang=known[k].rang, withdrawing=known[k].withdrawing) for k, v in found.items()}

    async def follow(
        self, attempt: Attempt, placed: Placed, line: Line | None, awaits: Callable[[Awaited], object]
    ) -> None:
        """Follow the call until its result is final; `awaits` is told when something else is awaited of it."""
        try:
            async for told in self._backend.follow(placed):
                if isinstance(told, Sighting):
                    awaits(Awaited.END if told.known else Awaited.WORD)
                    continue
                await self._keep_step(attempt, placed, told, line)
                if told.stage is Stage.ENDED:
                    awaits(Awaited.ANALYSIS)
        except AccountRefused as error:  # the call goes on, and a resume follows it
            self._stopping.refuse(_reason(error))

    async def _keep_step(self, attempt: Attempt, placed: Placed, progress: Progress, line: Line | None) -> None:
        if progress.stage is Stage.WITHDRAWING:
            await self._record.withdrawing(attempt)
            return
        if line is not None and progress.verdict is Verdict.FINAL:
            line.served()
        if progress.stage is Stage.ENDED:
            await self._end(attempt, placed, progress, line)
        elif progress.stage is Stage.SETTLED:
            await self._settle(attempt, placed, progress)
        elif (row := await self._record.progressed(attempt, STEPS[progress.stage])) is not None:
            self.tell(row, attempt.asked, call_id=placed.call_id)

    async def _not_placed(self, attempt: Attempt, error: PlacementError, line: Line) -> None:
        # Nobody else may be dialled on the strength of a row that is put back before everybody holds off or stops.
        if isinstance(error, ComeBackLater):
            self._come_back(error, line)
        else:
            self._pace.answered()
        if isinstance(error, AccountRefused):
            self._stopping.refuse(_reason(error))
        if isinstance(error, NumberRefused):
            result = self._result(attempt, CallOutcome(status=CallStatus.ERROR, error=_reason(error)))
            self.tell(await self._record.refused(attempt, result), attempt.asked, result=result)
        else:
            self.tell(await self._record.void(attempt, _reason(error)), attempt.asked)
        if not isinstance(error, ComeBackLater):
            self._on_error(error, attempt.asked, attempt.asked.index)

    def _come_back(self, error: ComeBackLater, line: Line) -> None:
        if error.code in LACKS_LINES:
            self._pace.answered()
            line.refused()
        if error.retry_after is not None:
            self._pace.hold_off(error.retry_after)
        elif error.code not in LACKS_LINES:
            self._pace.failed()

    async def _end(self, attempt: Attempt, placed: Placed, progress: Progress, line: Line | None) -> None:
        verdict = progress.verdict
        if attempt.state is not CallState.ENDED:  # that one ended under an earlier process, long before the others
            self._stopping.ended(progress)
        if verdict is Verdict.LOST:
            await self._lose(attempt, placed, progress.reason)
        elif verdict in PUT_BACK or (verdict is Verdict.START_FAILED and not attempt.failed_starts):
            await self._put_back(attempt, verdict, progress.reason, line)
        else:
            await self._keep_end(attempt, placed, progress)
            if verdict is not Verdict.FINAL:
                await self._settle(attempt, placed, progress)

    async def _lose(self, attempt: Attempt, placed: Placed, reason: Reason | None) -> None:
        if attempt.known is not None:  # how the call ended is known; only its analysis is gone with the rest
            missing = replace(attempt.known.analysis, status=AnalysisStatus.MISSING)
            known = replace(attempt.known, analysis=missing)
            await self._settle(attempt, placed, Progress(stage=Stage.SETTLED, outcome=known))
            return
        outcome = CallOutcome(status=CallStatus.UNCERTAIN, error=reason)
        await self._doubt(attempt, outcome, call_id=placed.call_id)
        lost = PlacementInDoubt(reason.message if reason else None, "lost")
        self._on_error(lost, attempt.asked, attempt.asked.index)

    async def _put_back(self, attempt: Attempt, verdict: Verdict, reason: Reason | None, line: Line | None) -> None:
        why = Reason(verdict.value, reason.message if reason else "The call was never dialled.")
        if verdict is Verdict.ACCOUNT:
            self._stopping.refuse(reason or why)
        elif verdict is not Verdict.START_FAILED and line is not None:
            line.refused()
        self.tell(await self._record.void(attempt, why), attempt.asked)
        if verdict is Verdict.ACCOUNT:
            self._on_error(AccountRefused(why.message, (reason or why).code), attempt.asked, attempt.asked.index)

    async def _keep_end(self, attempt: Attempt, placed: Placed, progress: Progress) -> None:
        if attempt.state is CallState.ENDED or progress.outcome is None:  # it ended under an earlier process
            return
        row = await self._record.ended(attempt, progress.outcome, progress.body)
        self.tell(row, attempt.asked, call_id=placed.call_id, ended_reason=progress.outcome.ended_reason)

    async def _settle(self, attempt: Attempt, placed: Placed, progress: Progress) -> None:
        if progress.outcome is None:
            return
        result = self._result(attempt, progress.outcome, call_id=placed.call_id)
        row = await self._record.settled(attempt, result, progress.body)
        self.tell(row, attempt.asked, call_id=placed.call_id, ended_reason=result.ended_reason, result=result)

    async def _doubt(self, attempt: Attempt, outcome: CallOutcome, *, call_id: str | None = None) -> None:
        result = self._result(attempt, outcome, call_id=call_id)
        self.tell(await self._record.uncertain(attempt, result), attempt.asked, call_id=call_id, result=result)

    def _result(self, attempt: Attempt, outcome: CallOutcome, *, call_id: str | None = None) -> CallResult:
        method = self._backend.method if call_id is not None else None
        return CallResult.of(attempt.asked, outcome, call_id=call_id, call_method=method)


def _reason(error: PlacementError) -> Reason:
    return Reason(error.code, error.message)


def _nobody(*_: object) -> None:
    """Take an error that nobody asked to be told of."""
