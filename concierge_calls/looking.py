"""Looks at Vapi for the calls that dead processes of other runs left, and for those of this one that are in doubt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from concierge_calls import routing
from concierge_calls.backend import Backend, Placed, Verdict
from concierge_calls.claiming import LookAt
from concierge_calls.dialer import LOOK_BACK
from concierge_calls.errors import (
    BackendUnreachable,
    JournalFull,
    NoSuchRun,
    ReadFailed,
    RunLocked,
    SettingsError,
    UsageError,
)
from concierge_calls.journal import Attempt, HistoryRow, Journal, Look, RunRecord
from concierge_calls.journals import settings_of
from concierge_calls.models import CallState

if TYPE_CHECKING:
    from concierge_calls.settings.loading import Settings

PATIENCE = 10.0  # seconds for one look
# Where and by whom a run's calls are known, and how what is known of them is read.
ASKED_BY = ("api_key", "base_url", "phone_number_id", "assistant_id", "record")

Adopted = tuple[HistoryRow, Attempt, Placed]


async def look_at(journal: Journal, run_id: str, own: Settings, backend: Backend) -> None:
    """Note which calls of this run, whose process is dead, are over; `backend` is asked where `own` are its settings.

    Such a call keeps its number from nobody any longer. One that goes on, was not found, or could not be asked for
    with the key that we have stays as it is, and so does every call of a run that somebody works on.
    """
    with suppress(RunLocked, NoSuchRun, JournalFull, SettingsError, ReadFailed, TimeoutError):
        async with journal.looking_at(run_id) as look:
            if left := await look.on_the_line():
                async with _backend_of(journal, run_id, own, backend) as theirs:
                    found = await _found(left, theirs)
                await _note_what_is_over(look, left, found)


async def check_again(journal: Journal, run_id: str, again: Sequence[Attempt], look: LookAt) -> None:
    """Check that these calls in doubt may be dialled once more, after a look at dead runs that have their numbers.

    Raises UsageError.
    """
    for attempt in again:
        number = attempt.asked.provider.phone or ""
        if (dead := journal.dead_holder(number, but=run_id)) is not None:
            await look(dead)
        refuse_if_held(journal, number, run_id)


def refuse_if_held(journal: Journal, number: str, run_id: str) -> None:
    """Check that this run may dial a number in doubt once more; raises UsageError that says why not."""
    if (reason := journal.why_not(number, run_id)) is not None:
        raise UsageError(f"{number} is not dialled again, and nobody was dialled. {reason.message}")


async def look_for(record: RunRecord, in_doubt: Sequence[Attempt], backend: Backend) -> list[Adopted]:
    """Take up the run, adopt those of its calls in doubt that Vapi shows, and have the others dialled again.

    Raises BackendUnreachable when Vapi cannot be asked; then none of them is dialled, and the run is not taken up.
    """
    try:
        found = await _found(in_doubt, backend)
    except (ReadFailed, TimeoutError) as error:
        raise BackendUnreachable(
            "Vapi could not be asked whether the calls in doubt were placed after all, so nobody was dialled;"
            " check the network, then run the same command again."
        ) from error
    await record.take_up()
    adopted = []
    for attempt in in_doubt:
        if (placed := found.get(attempt.key)) is None:
            record.dial_again(attempt)
        else:
            row = await record.placed(attempt, placed.call_id, placed.created_at, adopted=True)
            adopted.append((row, attempt, placed))
    return adopted


@asynccontextmanager
async def _backend_of(journal: Journal, run_id: str, own: Settings, backend: Backend) -> AsyncIterator[Backend]:
    theirs, _ = settings_of(journal, run_id)
    if all(getattr(theirs, name) == getattr(own, name) for name in ASKED_BY):
        yield backend  # within the same limit of requests a minute
        return
    async with routing.backend(theirs, simulate=False) as opened:
        yield opened


async def _note_what_is_over(look: Look, left: Sequence[Attempt], found: Mapping[str, Placed]) -> None:
    for attempt in left:
        if (placed := found.get(attempt.key)) is None:
            continue
        if attempt.state is CallState.DIALING:
            await look.placed(attempt, placed.call_id, placed.created_at)
        over = placed.over
        if over is not None and over.outcome is not None and (attempt.rang or over.verdict is Verdict.FINAL):
            await look.ended(attempt, over.outcome, over.body)


async def _found(attempts: Collection[Attempt], backend: Backend) -> Mapping[str, Placed]:
    since = min(attempt.dialed_at for attempt in attempts) - LOOK_BACK
    async with asyncio.timeout(PATIENCE):
        return await backend.find([attempt.key for attempt in attempts], since)
