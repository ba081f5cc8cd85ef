"""A simulated run rings no phone, so it holds no number; a real one does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from concierge_calls.errors import IllegalTransition
from concierge_calls.journal import Attempt, Journal, NewRun, RunRecord
from concierge_calls.models import CallRequest

Begin = Callable[..., Awaitable[RunRecord]]

WHEN = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


async def claimed(record: RunRecord) -> Attempt:
    claim = await record.claim(redial_after=None)
    assert list(claim.skipped) == []
    assert claim.attempt is not None
    return claim.attempt


async def on_the_line(record: RunRecord, rows: int) -> None:
    """Have so many rows called, the last of which is only being dialled."""
    for index in range(rows):
        attempt = await claimed(record)
        if index < rows - 1:
            await record.placed(attempt, f"call-{record.id}-{index}", WHEN)


def test_after_a_simulated_run_that_was_left_another_one_calls_the_same_numbers(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        left = await begin(journal, 3, simulated=True)
        await on_the_line(left, 3)
        left.close()
        again = await begin(journal, 3, simulated=True)
        await on_the_line(again, 3)
        stats = journal.result(again.id).stats
        assert (stats.in_progress, stats.skipped, stats.peak_concurrent) == (3, 0, 3)

    asyncio.run(run())


def test_two_simulated_runs_have_the_same_numbers_on_the_line_at_once(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        records = [await begin(journal, 3, simulated=True) for _ in range(2)]
        await asyncio.gather(*(on_the_line(record, 3) for record in records))
        assert [journal.result(record.id).stats.in_progress for record in records] == [3, 3]

    asyncio.run(run())


def test_a_simulated_run_keeps_no_real_run_from_a_number_and_a_real_one_does(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        await on_the_line(await begin(journal, 1, simulated=True), 1)
        real = await begin(journal, 1)
        assert (await claimed(real)).index == 0
        claim = await (await begin(journal, 1)).claim(redial_after=None)
        assert (claim.attempt, [reason.code for _, _, reason in claim.skipped]) == (None, ["on_the_line"])

    asyncio.run(run())


def test_the_file_itself_forbids_a_number_twice_only_to_a_real_run(
    journal: Journal, new_run: Callable[..., NewRun], asked: Callable[..., CallRequest]
) -> None:
    async def twice(*, simulated: bool) -> None:
        record = await journal.draft(new_run(simulated=simulated))
        await record.add([asked(0, number=0), asked(1, number=0)])
        await record.start()
        await on_the_line(record, 2)

    asyncio.run(twice(simulated=True))
    with pytest.raises(IllegalTransition, match=r"UNIQUE constraint failed: attempts\.number"):
        asyncio.run(twice(simulated=False))
