"""How long each call had its line, and what a minute on the line has cost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from concierge_calls.journal import Attempt, Journal, RunRecord, figures
from concierge_calls.models import CallOutcome, CallResult, CallStatus, EventKind, Reason

Begin = Callable[..., Awaitable[RunRecord]]
Final = Callable[..., CallResult]
Known = Callable[..., CallOutcome]

WHEN = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
NO_LINE = Reason("no_line", "No line was free.")


async def dialled(record: RunRecord, *, place: bool = True) -> Attempt:
    attempt = (await record.claim(redial_after=None)).attempt
    assert attempt is not None
    if place:
        await record.placed(attempt, f"call-{attempt.index}", WHEN)
    return attempt


def test_a_call_has_its_line_from_its_dial_to_its_end_not_to_its_analysis(
    journal: Journal, begin: Begin, hands: Any, outcome: Known, result: Final
) -> None:
    async def run() -> None:
        record = await begin(journal, 2)
        first = await dialled(record)
        hands.move(2)
        second = await dialled(record)
        await record.progressed(second, EventKind.CALL_RINGING)
        hands.move(30.25)
        await record.ended(second, outcome())
        hands.move(10)
        await record.ended(first, outcome())
        hands.move(60)
        await record.settled(second, result(second.asked))
        assert list(journal.line_times(record.id)) == [42.25, 30.25]  # the file's order, not that of the ends

    asyncio.run(run())


def test_a_call_in_doubt_has_its_line_until_it_is_given_up(
    journal: Journal, begin: Begin, hands: Any, result: Final
) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        attempt = await dialled(record, place=False)
        hands.move(120)
        await record.uncertain(attempt, result(attempt.asked, CallStatus.UNCERTAIN))
        assert list(journal.line_times(record.id)) == [120.0]

    asyncio.run(run())


def test_only_the_latest_dial_counts(journal: Journal, begin: Begin, hands: Any, outcome: Known, result: Final) -> None:
    async def run() -> None:
        record = await begin(journal, 2)
        withdrawn, doubtful = await dialled(record), await dialled(record, place=False)
        hands.move(30)
        await record.ended(withdrawn, outcome())
        await record.void(withdrawn, NO_LINE)
        await record.uncertain(doubtful, result(doubtful.asked, CallStatus.UNCERTAIN))
        hands.move(300)
        again = [await dialled(record), (await record.unfinished())[1]]
        claim = await record.redial(again[1])
        assert not isinstance(claim, Reason)
        assert claim.attempt is not None
        await record.placed(claim.attempt, "call-1", WHEN)
        hands.move(7)
        await record.ended(again[0], outcome())
        hands.move(4)
        await record.ended(claim.attempt, outcome())
        assert list(journal.line_times(record.id)) == [7.0, 11.0]

    asyncio.run(run())


def test_a_call_in_doubt_that_is_found_on_the_line_has_it_still(
    journal: Journal, begin: Begin, hands: Any, outcome: Known, result: Final
) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        attempt = await dialled(record, place=False)
        await record.uncertain(attempt, result(attempt.asked, CallStatus.UNCERTAIN))
        await record.placed(attempt, "call-0", WHEN, adopted=True)
        assert list(journal.line_times(record.id)) == []
        hands.move(40)
        await record.ended(attempt, outcome())
        assert list(journal.line_times(record.id)) == [40.0]

    asyncio.run(run())


def test_a_later_dial_that_rang_nobody_leaves_a_call_in_doubt_its_own_time(
    journal: Journal, begin: Begin, hands: Any, outcome: Known, result: Final
) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        attempt = await dialled(record, place=False)
        hands.move(120)
        await record.uncertain(attempt, result(attempt.asked, CallStatus.UNCERTAIN))
        hands.move(3_600)
        claim = await record.redial(attempt)
        assert not isinstance(claim, Reason)
        assert claim.attempt is not None
        await record.placed(claim.attempt, "call-1", WHEN)
        hands.move(7)
        await record.ended(claim.attempt, outcome())
        await record.void(claim.attempt, NO_LINE)
        [span] = journal.line_spans(record.id)
        assert (span.begun, span.ended) == (WHEN, WHEN + timedelta(seconds=120))

    asyncio.run(run())


def test_who_was_never_on_the_line_or_still_is_has_no_line_time(
    journal: Journal, begin: Begin, hands: Any, outcome: Known, result: Final
) -> None:
    async def run() -> None:
        record = await begin(journal, 5)
        refused = await dialled(record, place=False)
        withdrawn, _ = await dialled(record), await dialled(record)
        await dialled(record, place=False)
        hands.move(5)
        await record.refused(refused, result(refused.asked, CallStatus.ERROR))
        await record.ended(withdrawn, outcome())
        await record.void(withdrawn, NO_LINE)
        assert list(journal.line_times(record.id)) == []

    asyncio.run(run())


def test_a_clock_that_is_set_back_makes_no_time_negative(
    journal: Journal, begin: Begin, hands: Any, outcome: Known
) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        attempt = await dialled(record)
        hands.move(-3_600)
        await record.ended(attempt, outcome())
        assert list(journal.line_times(record.id)) == [0.0]

    asyncio.run(run())


def test_line_times_of_a_long_run_come_in_the_files_order_and_are_of_this_run_alone(
    journal: Journal, begin: Begin, hands: Any, outcome: Known
) -> None:
    async def called(rows: int) -> str:
        record = await begin(journal, rows, simulated=True)
        calls = await asyncio.gather(*(dialled(record) for _ in range(rows)))
        for attempt in sorted(calls, key=lambda attempt: -attempt.index):
            hands.move(1)
            await record.ended(attempt, outcome())
        return record.id

    async def run() -> None:
        other, run_id = await called(3), await called(110)
        assert list(journal.line_times(run_id)) == [float(seconds) for seconds in range(110, 0, -1)]
        assert list(journal.line_times(other)) == [3.0, 2.0, 1.0]

    asyncio.run(run())


def test_half_read_line_times_keep_nobody_from_writing(journal: Journal, begin: Begin, outcome: Known) -> None:
    async def run() -> None:
        record = await begin(journal, 111)
        for attempt in await asyncio.gather(*(dialled(record) for _ in range(110))):
            await record.ended(attempt, outcome())
        reading = journal.line_times(record.id)
        next(reading)
        await record.ended(await dialled(record), outcome())
        assert len(list(reading)) == 110

    asyncio.run(run())


async def _paid(record: RunRecord, cost: float | None, seconds: float | None) -> None:
    attempt = await dialled(record)
    ended_at = None if seconds is None else WHEN + timedelta(seconds=seconds)
    settled = CallOutcome(status=CallStatus.COMPLETED, cost=cost, started_at=WHEN, ended_at=ended_at)
    await record.ended(attempt, settled)
    await record.settled(attempt, CallResult.of(attempt.asked, settled))


@pytest.mark.parametrize(
    ("calls", "cost"),
    [
        ([], None),
        ([(0.0, 60.0)], None),
        ([(None, 60.0), (0.2, None), (0.2, 0.0)], None),
        ([(0.2, 60.0)], 0.2),
        ([(0.2, 60.0), (0.1, 120.0), (None, 600.0), (0.5, None)], 0.1),
    ],
)
def test_a_minute_costs_what_was_paid_for_the_time_on_the_line(
    journal: Journal, begin: Begin, calls: list[tuple[float | None, float | None]], cost: float | None
) -> None:
    async def run() -> None:
        record = await begin(journal, len(calls))
        for paid in calls:
            await _paid(record, *paid)
        assert journal.cost_a_minute() == pytest.approx(cost)

    asyncio.run(run())


def test_what_a_simulation_says_it_costs_does_not_count(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        await _paid(await begin(journal, 1, simulated=True), 5.0, 60.0)
        assert journal.cost_a_minute() is None
        await _paid(await begin(journal, 1), 0.2, 60.0)
        assert journal.cost_a_minute() == pytest.approx(0.2)

    asyncio.run(run())


def test_only_the_latest_calls_say_what_a_minute_costs(
    journal: Journal, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "RECENT", 2)

    async def run() -> None:
        record = await begin(journal, 3)
        for cost in (99.0, 0.1, 0.3):
            await _paid(record, cost, 60.0)
        assert journal.cost_a_minute() == pytest.approx(0.2)

    asyncio.run(run())
