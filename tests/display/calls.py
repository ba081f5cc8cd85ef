"""Runs and what happens in them, as the tests of the displays need them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from concierge_calls.display.board import Board, View
from concierge_calls.models import (
    CallEvent,
    CallRequest,
    CallResult,
    CallStatus,
    EventKind,
    Provider,
    Reason,
    RunInfo,
    RunResult,
    RunStats,
    ServiceRequest,
)

AT = datetime(2026, 5, 4, 10, 0, 7, tzinfo=UTC)
ASKED = ServiceRequest(service_needed="plumbing")
STEPS = {
    "dialing": EventKind.CALL_DIALING,
    "placed": EventKind.CALL_PLACED,
    "ringing": EventKind.CALL_RINGING,
    "talking": EventKind.CALL_IN_PROGRESS,
    "ended": EventKind.CALL_ENDED,
    "pending": EventKind.CALL_PENDING,
}


def after(seconds: float) -> datetime:
    """The moment so many seconds after the run began."""
    return AT + timedelta(seconds=seconds)


def run(
    *, simulated: bool = False, max_concurrent: int = 2, results: Sequence[CallResult] = (), **stats: Any
) -> RunResult:
    """A run with these figures."""
    info = RunInfo(
        id="r",
        started_at=AT,
        ended_at=None,
        via="direct",
        simulated=simulated,
        dry_run=False,
        max_concurrent=max_concurrent,
        source="providers.csv",
        version="0",
        finished=False,
    )
    return RunResult(run=info, stats=RunStats(**stats), results=results)


class Calls:
    """Makes events, each with its own number and moment."""

    def __init__(self, **names: str) -> None:
        self._seq = count(1)
        self._names = names

    def provider(self, index: int) -> Provider:
        """The provider of a row."""
        return Provider(name=self._names.get(f"n{index}", f"Provider {index}"), phone=f"+1864555{100 + index:04}")

    def step(self, index: int, state: str, at: float = 0.0, provider: Provider | None = None) -> CallEvent:
        """What is told of a call before it is settled."""
        asked = CallRequest(index=index, provider=provider or self.provider(index), request=ASKED)
        return CallEvent(
            seq=next(self._seq), at=after(at), run_id="r", kind=STEPS[state], index=index, request=asked, call_id="a"
        )

    def settled(
        self,
        index: int,
        status: CallStatus = CallStatus.COMPLETED,
        at: float = 0.0,
        *,
        lasted: float = 0.0,
        call_id: str | None = "a",
        provider: Provider | None = None,
        **more: Any,
    ) -> CallEvent:
        """How it came out."""
        provider = provider or self.provider(index)
        more |= {"started_at": after(at - lasted), "ended_at": after(at)} if lasted else {}
        result = CallResult(index=index, provider=provider, request=ASKED, status=status, call_id=call_id, **more)
        asked = CallRequest(index=index, provider=provider, request=ASKED)
        return CallEvent(
            seq=next(self._seq),
            at=after(at),
            run_id="r",
            kind=EventKind.CALL_SETTLED,
            index=index,
            request=asked,
            call_id=call_id,
            result=result,
        )

    def skipped(self, index: int, code: str = "duplicate", *, planned: bool = True) -> CallEvent:
        """A row that is not dialled, as the plan or the guards say."""
        reason = Reason(code, f"{code} of line 2")
        asked = CallRequest(index=index, provider=self.provider(index), request=ASKED, skip=reason if planned else None)
        result = CallResult(
            index=index, provider=asked.provider, request=ASKED, status=CallStatus.SKIPPED, error=reason
        )
        return CallEvent(
            seq=next(self._seq),
            at=AT,
            run_id="r",
            kind=EventKind.CALL_SKIPPED,
            index=index,
            request=asked,
            result=result,
        )


def heard(result: CallResult) -> str:
    """What came of a call, in one line."""
    return result.analysis.summary or (result.error.message if result.error else "")


def seen(begun: RunResult, *events: CallEvent, live: tuple[CallEvent, ...] = (), at: float = 0.0) -> View:
    """The board after these events, with as many rows as it keeps."""
    board = Board(heard)
    board.begin(begun, live, AT)
    for event in events:
        board.fold(event)
    return board.view(500, after(at))
