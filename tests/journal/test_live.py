"""The calls that are not settled yet, told again from their dial on, for a screen that comes later."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from concierge_calls.journal import Attempt, Journal, RunRecord
from concierge_calls.models import CallOutcome, CallRequest, CallResult, CallStatus, EventKind, Reason
from concierge_calls.report import result_document

Ask = Callable[..., CallRequest]
Begin = Callable[..., Awaitable[RunRecord]]
Final = Callable[..., CallResult]
Known = Callable[..., CallOutcome]

STEPS = (EventKind.CALL_DIALING, EventKind.CALL_PLACED)
WHEN = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


async def dialled(record: RunRecord) -> Attempt:
    attempt = (await record.claim(redial_after=None)).attempt
    assert attempt is not None
    return attempt


async def placed(record: RunRecord) -> Attempt:
    attempt = await dialled(record)
    await record.placed(attempt, f"call-{attempt.index}", WHEN)
    return attempt


def told(journal: Journal, record: RunRecord) -> list[tuple[int | None, EventKind]]:
    return [(event.index, event.kind) for event in journal.live(record.id)]


def test_each_live_call_is_told_as_it_was_told_when_it_happened(
    journal: Journal, begin: Begin, hands: Any, asked: Ask, outcome: Known
) -> None:
    async def run() -> None:
        record = await begin(journal, 3)
        first = await placed(record)
        hands.move(3)
        await record.progressed(first, EventKind.CALL_RINGING)
        second = await dialled(record)
        hands.move(4)
        await record.placed(second, "call-1", WHEN)
        await record.ended(first, outcome())

        live = list(journal.live(record.id))
        assert [event.seq for event in live] == [row.seq for row in record.history()[1:]]  # all but run.started
        late, later = WHEN + timedelta(seconds=3), WHEN + timedelta(seconds=7)
        assert [(event.index, event.at, event.kind, event.call_id, event.ended_reason) for event in live] == [
            (0, WHEN, EventKind.CALL_DIALING, None, None),
            (0, WHEN, EventKind.CALL_PLACED, "call-0", None),
            (0, late, EventKind.CALL_RINGING, "call-0", None),
            (1, late, EventKind.CALL_DIALING, None, None),
            (1, later, EventKind.CALL_PLACED, "call-1", None),
            (0, later, EventKind.CALL_ENDED, "call-0", "customer-ended-call"),
        ]
        assert {(event.run_id, event.result) for event in live} == {(record.id, None)}
        assert all(event.request == asked(event.index) for event in live)

    asyncio.run(run())


def test_calls_that_are_settled_or_wait_to_be_dialled_are_not_told(
    journal: Journal, begin: Begin, outcome: Known, result: Final
) -> None:
    async def run() -> None:
        record = await begin(journal, 5)
        settled, withdrawn, doubtful = [await placed(record) for _ in range(3)]
        await record.ended(settled, outcome())
        await record.settled(settled, result(settled.asked))
        await record.void(withdrawn, Reason("no_line", "No line was free."))
        await record.uncertain(doubtful, result(doubtful.asked, CallStatus.UNCERTAIN))
        assert told(journal, record) == []

    asyncio.run(run())


def test_only_the_latest_dial_is_told(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        first = await placed(record)
        await record.progressed(first, EventKind.CALL_RINGING)
        await record.void(first, Reason("no_line", "No line was free."))
        await placed(record)
        assert told(journal, record) == [(0, EventKind.CALL_DIALING), (0, EventKind.CALL_PLACED)]

    asyncio.run(run())


def test_a_call_in_doubt_that_was_found_again_is_not_told_as_settled(
    journal: Journal, begin: Begin, result: Final
) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        attempt = await dialled(record)
        await record.uncertain(attempt, result(attempt.asked, CallStatus.UNCERTAIN))
        await record.placed(attempt, "found", WHEN, adopted=True)
        live = list(journal.live(record.id))
        assert [(event.kind, event.call_id) for event in live] == [
            (EventKind.CALL_DIALING, None),
            (EventKind.CALL_PLACED, "found"),
        ]

    asyncio.run(run())


def test_more_than_a_page_is_told_whole_and_of_this_run_alone(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        other = await begin(journal, 2, simulated=True)
        await placed(other)
        record = await begin(journal, 130, simulated=True)
        await asyncio.gather(*(placed(record) for _ in range(130)))
        live = told(journal, record)
        assert Counter(live) == {(index, kind): 1 for index in range(130) for kind in STEPS}
        assert all(live.index((index, STEPS[0])) < live.index((index, STEPS[1])) for index in range(130))
        assert len(told(journal, other)) == 2

    asyncio.run(run())


def test_an_unfinished_runs_document_says_what_is_known_of_its_live_calls(
    journal: Journal, begin: Begin, outcome: Known
) -> None:
    async def run() -> None:
        record = await begin(journal, 3)
        await placed(record)
        await record.ended(await placed(record), outcome(availability="available"))
        await dialled(record)
        entries = [result_document(entry) for entry in journal.result(record.id).results]

        known = ("status", "callId", "callMethod", "duration", "endedReason", "transcript", "cost", "error")
        assert [[entry[name] for name in known] for entry in entries] == [
            ["in_progress", "call-0", "direct_vapi", 0.0, None, "", None, None],
            [
                "in_progress",
                "call-1",
                "direct_vapi",
                90.0,
                "customer-ended-call",
                "AI: Hello.\nUser: Tomorrow at nine.",
                0.25,
                None,
            ],
            ["in_progress", None, None, 0.0, None, "", None, None],
        ]
        assert entries[1]["startedAt"] == "2026-11-24T09:00:00.000Z"
        assert entries[1]["analysis"]["structuredData"] == {"availability": "available"}

    asyncio.run(run())
