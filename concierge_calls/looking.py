"""Looks at Vapi, before anybody is dialled, for the calls that dead processes left and for those in doubt."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from concierge_calls.backend import Backend, Placed, Verdict
from concierge_calls.dialer import LOOK_BACK
from concierge_calls.errors import BackendUnreachable, ReadFailed, RunLocked
from concierge_calls.journal import Attempt, HistoryRow, Journal, RunRecord
from concierge_calls.models import CallState

PATIENCE = 10.0  # seconds for one look
ON_THE_LINE = (CallState.DIALING, CallState.PLACED)

Adopted = tuple[HistoryRow, Attempt, Placed]


async def look_after_dead_runs(journal: Journal, run_id: str, backend: Backend) -> None:
    """Note which calls are over that other runs had on the line to numbers of this one, and whose process is dead.

    Such a call keeps its number from nobody any longer. One that goes on, was not found, or could not be asked for
    stays as it is, and so does every call of a run that somebody works on.
    """
    for other in journal.holders(run_id):
        with suppress(RunLocked, ReadFailed, TimeoutError):
            record = await journal.open_run(other)
            try:
                await _note_what_is_over(record, backend)
            finally:
                record.close()


async def look_for(record: RunRecord, in_doubt: Sequence[Attempt], backend: Backend) -> list[Adopted]:
    """Adopt those of these calls in doubt that Vapi shows, and have the others dialled again.

    Raises BackendUnreachable when Vapi cannot be asked; then none of them is dialled.
    """
    try:
        found = await _found(in_doubt, backend)
    except (ReadFailed, TimeoutError) as error:
        raise BackendUnreachable(
            "Vapi could not be asked whether the calls in doubt were placed after all, so nobody was dialled;"
            " check the network, then run the same command again."
        ) from error
    adopted = []
    for attempt in in_doubt:
        if (placed := found.get(attempt.key)) is None:
            record.dial_again(attempt)
        else:
            row = await record.placed(attempt, placed.call_id, placed.created_at, adopted=True)
            adopted.append((row, attempt, placed))
    return adopted


async def _note_what_is_over(record: RunRecord, backend: Backend) -> None:
    left = [attempt for attempt in await record.unfinished() if attempt.state in ON_THE_LINE]
    found = await _found(left, backend) if left else {}
    for attempt in left:
        if (placed := found.get(attempt.key)) is None:
            continue
        if attempt.state is CallState.DIALING:
            await record.placed(attempt, placed.call_id, placed.created_at)
        over = placed.over
        if over is not None and over.outcome is not None and (attempt.rang or over.verdict is Verdict.FINAL):
            await record.ended(attempt, over.outcome, over.body)


async def _found(attempts: Collection[Attempt], backend: Backend) -> Mapping[str, Placed]:
    since = min(attempt.dialed_at for attempt in attempts) - LOOK_BACK
    async with asyncio.timeout(PATIENCE):
        return await backend.find([attempt.key for attempt in attempts], since)
