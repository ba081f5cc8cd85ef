"""What a resume must know of each attempt: whether it rang or was to be taken back, what failed, how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from concierge_calls.journal import Attempt, Journal, RunRecord
from concierge_calls.models import CallOutcome, CallResult, CallStatus, EventKind, Reason

Begin = Callable[..., Awaitable[RunRecord]]
Known = Callable[..., CallOutcome]

WHEN = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


async def placed(record: RunRecord) -> Attempt:
    attempt = (await record.claim(redial_after=None)).attempt
    assert attempt is not None
    await record.placed(attempt, f"call-{attempt.ordinal}", WHEN)
    return attempt


async def taken_up(record: RunRecord) -> Attempt:
    [attempt] = await record.unfinished()
    return attempt


@pytest.mark.parametrize("kind", [EventKind.CALL_RINGING, EventKind.CALL_IN_PROGRESS])
def test_a_resume_knows_that_a_call_rang_also_when_it_ended_or_was_lost_since(
    journal: Journal, begin: Begin, outcome: Known, kind: EventKind
) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        attempt = await placed(record)
        assert not (await taken_up(record)).rang
        await record.progressed(attempt, kind)
        assert (await taken_up(record)).rang
        await record.ended(attempt, outcome())
        assert (await taken_up(record)).rang
        await record.uncertain(attempt, CallResult.of(attempt.asked, CallOutcome(status=CallStatus.UNCERTAIN)))
        assert (await taken_up(record)).rang

    asyncio.run(run())


def test_a_resume_knows_that_a_call_was_to_be_taken_back_also_when_it_was_lost_and_found_since(
    journal: Journal, begin: Begin
) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        attempt = await placed(record)
        assert not (await taken_up(record)).withdrawing
        await record.withdrawing(attempt)
        assert (await taken_up(record)).withdrawing
        await record.uncertain(attempt, CallResult.of(attempt.asked, CallOutcome(status=CallStatus.UNCERTAIN)))
        assert (await taken_up(record)).withdrawing
        await record.placed(attempt, "call-1", WHEN, adopted=True)
        record.close()
        again = await journal.open_run(record.id)
        assert ((await taken_up(again)).withdrawing, (await taken_up(again)).rang) == (True, False)

    asyncio.run(run())


def test_a_row_that_is_placed_again_has_not_rung_and_is_not_to_be_taken_back(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        first = await placed(record)
        await record.withdrawing(first)
        await record.void(first, Reason("no_line", "No line was free."))
        await placed(record)
        assert not (await taken_up(record)).rang
        assert not (await taken_up(record)).withdrawing

    asyncio.run(run())


def test_failed_starts_are_counted_by_row_and_nothing_else_is(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 2)
        counted = []
        for code in ("no_line", "start_failed", "withdrawn", "start_failed", "account"):
            attempt = await placed(record)
            counted.append((attempt.index, attempt.failed_starts))
            assert (await taken_up(record)).failed_starts == attempt.failed_starts
            await record.void(attempt, Reason(code, "Nobody was dialled."))
        assert counted == [(0, 0), (0, 0), (0, 1), (0, 1), (0, 2)]
        record.close()
        again = await journal.open_run(record.id)
        assert [((await placed(again)).index, (await taken_up(again)).failed_starts)] == [(0, 2)]
        await placed(again)
        assert [(attempt.index, attempt.failed_starts) for attempt in await again.unfinished()] == [(0, 2), (1, 0)]

    asyncio.run(run())


def test_a_resume_knows_how_a_call_ended_whose_analysis_is_awaited_and_of_no_other_call(
    journal: Journal, begin: Begin, outcome: Known
) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        attempt = await placed(record)
        assert (await taken_up(record)).known is None
        await record.ended(attempt, outcome(CallStatus.VOICEMAIL, availability="unclear"))
        assert (await taken_up(record)).known == outcome(CallStatus.VOICEMAIL, availability="unclear")
        await record.uncertain(attempt, CallResult.of(attempt.asked, CallOutcome(status=CallStatus.UNCERTAIN)))
        assert (await taken_up(record)).known is None

    asyncio.run(run())
