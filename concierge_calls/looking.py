"""Looks at Vapi for the calls that dead processes of other runs left, and for those of this one that are in doubt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING

from concierge_calls import routing
from concierge_calls.backend import Backend, Placed, Progress, Verdict
from concierge_calls.claiming import LookAt
from concierge_calls.dialer import LOOK_AHEAD, LOOK_BACK, PUT_BACK
from concierge_calls.errors import (
    BackendUnreachable,
    JournalFull,
    NoSuchRun,
    ReadFailed,
    ReadRefused,
    RunLocked,
    SettingsError,
    UsageError,
)
from concierge_calls.journal import Attempt, HistoryRow, Journal, Look, RunRecord
from concierge_calls.journals import settings_of
from concierge_calls.models import AnalysisStatus, CallOutcome, CallState, CallStatus, Reason

if TYPE_CHECKING:
    from concierge_calls.settings.loading import Settings

PATIENCE = 10.0  # seconds for one look
# Where and by whom a run's calls are known, and how what is known of them is read.
ASKED_BY = ("api_key", "base_url", "phone_number_id", "assistant_id", "record")

Adopted = tuple[HistoryRow, Attempt, Placed]


async def look_at(journal: Journal, run_id: str, own: Settings, backend: Backend) -> None:
    """Note which calls of this run, whose process is dead, are over; `backend` is asked where `own` are its settings.

    Such a call keeps its number from nobody any longer. One that goes on, was not found, or may not be asked for
    with the key that we have stays as it is, and so does every call of a run that somebody works on. Raises ReadFailed
    when the run is to be looked at again: Vapi did not answer, what was said in a call that is over is not known yet,
    or another process was looking for too long.
    """
    with suppress(NoSuchRun, JournalFull, SettingsError):
        try:
            is_all_known = await _look_at(journal, run_id, own, backend)
        except ReadRefused:  # whoever says no goes on saying no
            return
        except (ReadFailed, TimeoutError) as error:
            raise ReadFailed(f"Vapi did not say whether the calls of run {run_id} are over.") from error
        except RunLocked:
            if journal.is_worked_on(run_id):
                return
            raise ReadFailed(f"Another process has been looking at run {run_id} for long.") from None
        if not is_all_known:
            raise ReadFailed(f"A call of run {run_id} is over, and what was said in it is not known yet.")


async def check_again(journal: Journal, run_id: str, again: Sequence[Attempt], look: LookAt) -> None:
    """Check that these calls in doubt may be dialled once more, after a look at dead runs that have their numbers.

    Raises UsageError, and BackendUnreachable when that look came to nothing.
    """
    for attempt in again:
        number = attempt.asked.provider.phone or ""
        if (dead := journal.dead_holder(number, but=run_id)) is not None:
            await _looked_at(dead, number, look)
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


async def _looked_at(run_id: str, number: str, look: LookAt) -> None:
    try:
        await look(run_id)
    except ReadFailed as error:
        raise BackendUnreachable(
            f"{number} is not dialled again, and nobody was dialled. {error.message} Run the same command again in a"
            " moment."
        ) from error


async def _look_at(journal: Journal, run_id: str, own: Settings, backend: Backend) -> bool:
    async with journal.looking_at(run_id) as look:
        if not (left := await look.on_the_line()):
            return True
        async with _backend_of(journal, run_id, own, backend) as theirs:
            found = await _found(left, theirs)
            return await _note_what_is_over(look, left, found, theirs)


@asynccontextmanager
async def _backend_of(journal: Journal, run_id: str, own: Settings, backend: Backend) -> AsyncIterator[Backend]:
    theirs, _ = settings_of(journal, run_id)
    if all(getattr(theirs, name) == getattr(own, name) for name in ASKED_BY):
        yield backend  # within the same limit of requests a minute
        return
    async with routing.backend(theirs, simulate=False) as opened:
        yield opened


async def _note_what_is_over(
    look: Look, left: Sequence[Attempt], found: Mapping[str, Placed], backend: Backend
) -> bool:
    """Keep how those calls ended that were found; tells whether nothing more is to come of them."""
    is_all_known = True
    for attempt in left:
        if (placed := found.get(attempt.key)) is None:
            continue
        if attempt.state is CallState.DIALING:
            await look.placed(attempt, placed.call_id, placed.created_at)
        over = placed.over
        if over is None or over.outcome is None:
            continue
        if _never_rang(attempt, over):
            await look.void(attempt, _why(over))
        elif _may_bring_a_wish(over.outcome) and backend.now() < _latest_word(placed, over.outcome, backend):
            is_all_known = False
        else:
            await look.ended(attempt, over.outcome, over.body)
    return is_all_known


def _never_rang(attempt: Attempt, over: Progress) -> bool:
    # As whoever follows a call decides: one that was taken back may be dialled again only if we took it back.
    if attempt.rang:
        return False
    if over.verdict is Verdict.WITHDRAWN:
        return attempt.withdrawing
    return over.verdict in PUT_BACK or (over.verdict is Verdict.START_FAILED and not attempt.failed_starts)


def _why(over: Progress) -> Reason:
    known = over.reason or (over.outcome.error if over.outcome else None)
    return Reason(over.verdict.value, known.message if known else "The call was never dialled.")


def _may_bring_a_wish(outcome: CallOutcome) -> bool:
    """Whether somebody may have asked in this call not to be called again, which only its analysis will say."""
    if outcome.analysis.status is not AnalysisStatus.NONE or outcome.status in (CallStatus.BUSY, CallStatus.VOICEMAIL):
        return False
    if outcome.messages:
        return any(message.role == "user" for message in outcome.messages)
    return outcome.started_at is not None


def _latest_word(placed: Placed, outcome: CallOutcome, backend: Backend) -> datetime:
    if outcome.ended_at is None:
        return backend.latest_end(placed.created_at)
    return backend.latest_analysis(outcome.ended_at)


async def _found(attempts: Collection[Attempt], backend: Backend) -> Mapping[str, Placed]:
    since = min(attempt.dialed_at for attempt in attempts) - LOOK_BACK
    until = max(attempt.dialed_at for attempt in attempts) + LOOK_AHEAD
    async with asyncio.timeout(PATIENCE):
        return await backend.find([attempt.key for attempt in attempts], since, until)
