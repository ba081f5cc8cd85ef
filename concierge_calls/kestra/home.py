"""Brings home what children told: each row moves on in the journal, and whoever watches is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from concierge_calls.errors import NumberRefused, PlacementInDoubt
from concierge_calls.journal import NOT_TOLD, Attempt, HistoryRow, OnTheLine, RunRecord
from concierge_calls.kestra.results import Result, Step
from concierge_calls.models import (
    AnalysisStatus,
    CallEvent,
    CallMethod,
    CallOutcome,
    CallRequest,
    CallResult,
    CallState,
    CallStatus,
    EventKind,
    Reason,
)
from concierge_calls.observers import Observer, OnError

NEVER_BEGUN = Reason("never_begun", "The execution at Kestra was over before this provider's turn came.")
NOT_CALLED = Reason("not_called", "The task at Kestra ended before this provider was dialled.")
_SETTLED = frozenset({EventKind.CALL_SETTLED, EventKind.CALL_SKIPPED})
_BEFORE_A_CALL = frozenset({EventKind.CALL_DIALING, EventKind.CALL_PENDING, EventKind.CALL_SKIPPED})


class Home:
    """Where the results of one run come to; expected failures become results of their own."""

    def __init__(self, record: RunRecord, observer: Observer, on_error: OnError | None) -> None:
        """Keep results in this record; both callbacks must be harmless."""
        self._record = record
        self._observer = observer
        self._on_error = on_error

    def __repr__(self) -> str:
        return f"<Home of run {self._record.id}>"

    async def begun(self, attempt: Attempt) -> None:
        """Tell that the row is being dialled, once."""
        self._tell(await self._record.handovers.begun(attempt), attempt)

    async def bring(self, attempt: Attempt, result: Result) -> Attempt | None:
        """Move the row on by what its child told; returns its attempt as long as something is still to come of it."""
        outcome = result.outcome()
        if result.step is Step.IN_DOUBT:
            return attempt
        if result.step is Step.PLACED and result.call_id:
            return await self.place(attempt, result)
        if result.step is Step.PUT_BACK:
            return await self.put_back(attempt, result.reason or NOT_CALLED)
        if result.step is Step.SKIPPED:
            await self._skip(attempt, result.reason or NOT_CALLED)
        elif result.step is Step.REFUSED:
            await self._refuse(attempt, outcome)
        elif result.step is Step.SETTLED:
            await self._settle(attempt, outcome, result)
        else:
            await self.doubt(attempt, outcome, call_id=result.call_id, line=result.line)
        return None

    async def place(self, attempt: Attempt, result: Result) -> Attempt:
        """Keep the id of a call that is to be followed from here; what was in doubt is followed by its id, too."""
        if result.call_id is None or attempt.state in (CallState.PLACED, CallState.ENDED):
            return attempt
        rows = await self._record.handovers.placed(attempt, result.call_id, result.line)
        self._tell(rows, attempt, call_id=result.call_id)
        return replace(attempt, state=CallState.PLACED, call_id=result.call_id)

    async def put_back(self, attempt: Attempt, reason: Reason) -> Attempt | None:
        """Have the row wait again, since certainly nobody's phone rang; what is uncertain stays so."""
        if attempt.state is CallState.UNCERTAIN:
            return attempt
        self._tell(await self._record.handovers.put_back(attempt, reason), attempt)
        return None

    async def doubt(
        self,
        attempt: Attempt,
        outcome: CallOutcome,
        *,
        call_id: str | None = None,
        line: OnTheLine = NOT_TOLD,
    ) -> None:
        """Keep that the phone may have rung, with the call's id where there is one."""
        if attempt.state is CallState.UNCERTAIN:
            return
        if attempt.state is CallState.ENDED and attempt.known is not None:
            missing = replace(attempt.known.analysis, status=AnalysisStatus.MISSING)
            known = self._result(attempt, replace(attempt.known, analysis=missing), attempt.call_id)
            rows = await self._record.handovers.settled(attempt, known, line)
            self._tell(rows, attempt, call_id=attempt.call_id, result=known)
            return
        result = self._result(attempt, replace(outcome, status=CallStatus.UNCERTAIN), call_id or attempt.call_id)
        rows = await self._record.handovers.uncertain(attempt, result, line)
        self._tell(rows, attempt, call_id=result.call_id, result=result)
        if self._on_error is not None:
            error = result.error or NOT_CALLED
            self._on_error(PlacementInDoubt(error.message, error.code), attempt.asked, attempt.index)

    async def _settle(self, attempt: Attempt, outcome: CallOutcome, told: Result) -> None:
        result = self._result(attempt, outcome, told.call_id)
        rows = await self._record.handovers.settled(attempt, result, told.line)
        self._tell(rows, attempt, call_id=told.call_id, result=result)

    async def _refuse(self, attempt: Attempt, outcome: CallOutcome) -> None:
        if attempt.state is not CallState.DIALING:
            return
        result = self._result(attempt, outcome, None)
        self._tell(await self._record.handovers.refused(attempt, result), attempt, result=result)
        if self._on_error is not None and result.error is not None:
            self._on_error(NumberRefused(result.error.message, result.error.code), attempt.asked, attempt.index)

    async def _skip(self, attempt: Attempt, reason: Reason) -> None:
        if attempt.state is not CallState.DIALING:
            return
        result = CallResult.of(attempt.asked, CallOutcome(status=CallStatus.SKIPPED, error=reason))
        self._tell(await self._record.handovers.skipped(attempt, reason), attempt, result=result)

    def skipped(self, skipped: Iterable[tuple[HistoryRow, CallRequest, Reason]]) -> None:
        """Tell of rows that a guard held back."""
        for row, asked, reason in skipped:
            result = CallResult.of(asked, CallOutcome(status=CallStatus.SKIPPED, error=reason))
            self._observer(self._event(row, asked, result=result))

    def _result(self, attempt: Attempt, outcome: CallOutcome, call_id: str | None) -> CallResult:
        method = CallMethod.KESTRA if call_id is not None else None
        return CallResult.of(attempt.asked, outcome, call_id=call_id, call_method=method)

    def _tell(
        self,
        rows: Sequence[HistoryRow],
        attempt: Attempt,
        *,
        call_id: str | None = None,
        result: CallResult | None = None,
    ) -> None:
        for row in rows:
            known = result if row.kind in _SETTLED else None
            theirs = None if row.kind in _BEFORE_A_CALL else call_id
            ended = result.ended_reason if result and row.kind in (EventKind.CALL_ENDED, *_SETTLED) else None
            self._observer(self._event(row, attempt.asked, call_id=theirs, ended_reason=ended, result=known))

    def _event(
        self,
        row: HistoryRow,
        asked: CallRequest,
        *,
        call_id: str | None = None,
        ended_reason: str | None = None,
        result: CallResult | None = None,
    ) -> CallEvent:
        return CallEvent(
            seq=row.seq,
            at=row.at,
            run_id=self._record.id,
            kind=row.kind,
            index=asked.index,
            request=asked,
            call_id=call_id,
            ended_reason=ended_reason,
            result=result,
        )
