"""A run's events as they are streamed: those of the journal's history, then those that come (server-sent events)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final, Literal

from concierge_calls import report
from concierge_calls.api.service import Service
from concierge_calls.journal import HistoryRow
from concierge_calls.models import CallResult, EventKind, RunInfo

MEDIA_TYPE: Final = "text/event-stream"
LOOK: Final = 1.0  # seconds between two looks at a run that another process works on
QUIET: Final = 15  # looks without an event, after which a comment shows that somebody is there

_FINAL: Final = (EventKind.CALL_SETTLED, EventKind.CALL_SKIPPED)
_BEFORE_ITS_ID: Final = (EventKind.CALL_DIALING, EventKind.CALL_PENDING, EventKind.CALL_SKIPPED)
_AFTER_ITS_END: Final = (EventKind.CALL_ENDED, EventKind.CALL_SETTLED)


def goes_on(service: Service, run_id: str) -> bool:
    """Whether this server, or another process, works on the run."""
    return service.runs.working_on(run_id) is not None or service.journal.is_worked_on(run_id)


def state(service: Service, run: RunInfo) -> Literal["finished", "running", "unfinished"]:
    """How the run stands."""
    return "finished" if run.finished else "running" if goes_on(service, run.id) else "unfinished"


async def stream(service: Service, run_id: str, after: int) -> AsyncIterator[str]:
    """Yield every event that followed this one, until the run is over or the server is stopped."""
    quiet = 0
    while not service.runs.leaving.is_set():
        work = service.runs.working_on(run_id)
        news = None if work is None else work.news  # taken before the look, so that nothing is missed in between
        live = goes_on(service, run_id)
        last, shown = await asyncio.to_thread(_page, service, run_id, after)
        if shown:
            after, quiet = last, 0
            yield shown
        elif not live:
            return
        else:
            quiet += 1
            if quiet % QUIET == 0:
                yield ": nothing new\n\n"
            await _wait(news or service.runs.leaving)


async def _wait(event: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(LOOK):
            await event.wait()


def _page(service: Service, run_id: str, after: int) -> tuple[int, str]:
    rows = service.journal.history(run_id, after)
    results = service.journal.result(run_id).results
    shown = [_event(run_id, row, None if row.index is None else results[row.index]) for row in rows]
    return (rows[-1].seq if rows else after), "".join(shown)


def _event(run_id: str, row: HistoryRow, result: CallResult | None) -> str:
    return f"id: {row.seq}\nevent: {row.kind}\ndata: {report.as_json(_data(run_id, row, result))}\n\n"


def _data(run_id: str, row: HistoryRow, result: CallResult | None) -> dict[str, Any]:
    provider = None if result is None else {"name": result.provider.name, "phone": result.provider.phone}
    known = result is not None and row.kind not in _BEFORE_ITS_ID
    return {
        "seq": row.seq,
        "at": report.as_time(row.at),
        "runId": run_id,
        "kind": row.kind,
        "index": row.index,
        "provider": provider,
        "callId": result.call_id if result is not None and known else None,
        "endedReason": result.ended_reason if result is not None and row.kind in _AFTER_ITS_END else None,
        "result": report.result_document(result) if result is not None and row.kind in _FINAL else None,
    }
