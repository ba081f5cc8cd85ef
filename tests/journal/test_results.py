"""Results come in the file's order whatever state a row is in, are read when asked for, and add up."""

from __future__ import annotations

import asyncio
import random
import threading
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from concierge_calls.journal import Attempt, Journal, NewRun, Results, RunRecord
from concierge_calls.models import (
    AnalysisStatus,
    CallMethod,
    CallOutcome,
    CallRequest,
    CallResult,
    CallState,
    CallStatus,
    Provider,
    Reason,
    RunStats,
    ServiceRequest,
)

Begin = Callable[..., Awaitable[RunRecord]]
Ask = Callable[..., CallRequest]
New = Callable[..., NewRun]
Known = Callable[..., CallOutcome]
Final = Callable[..., CallResult]

WHEN = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
FINAL = [
    CallStatus.COMPLETED,
    CallStatus.NO_ANSWER,
    CallStatus.BUSY,
    CallStatus.VOICEMAIL,
    CallStatus.TIMEOUT,
    CallStatus.ERROR,
    CallStatus.CANCELLED,
]
COUNTS = [
    "successful", "failed", "timed_out", "no_answer", "busy", "voicemail",
    "uncertain", "cancelled", "skipped", "not_called", "pending", "in_progress",
]  # fmt: skip


async def _placed(record: RunRecord) -> Attempt:
    attempt = (await record.claim(redial_after=None)).attempt
    assert attempt is not None
    await record.placed(attempt, "call-1", WHEN)
    return attempt


def test_a_settled_result_comes_back_as_it_was_given(journal: Journal, begin: Begin, outcome: Known) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        attempt = await _placed(record)
        given = CallResult.of(
            attempt.asked, outcome(notes="half \ud83d a smile"), call_id="call-1", call_method=CallMethod.DIRECT_VAPI
        )
        await record.ended(attempt, outcome())
        await record.settled(attempt, given)
        assert journal.result(record.id).results[0] == given

    asyncio.run(run())


def test_a_request_comes_back_as_it_was_given(journal: Journal, new_run: New) -> None:
    given = CallRequest(
        index=0,
        provider=Provider(
            name="Café \udce9", phone="+12005550100", phone_given="(200) 555-0100", extension="7", id="a", line=2,
            extra={"stars": 4.5, "tags": ["a"], "": None},
        ),
        request=ServiceRequest(service_needed="plumbing", urgency="now", service_request_id="r"),
        warning="The number may not exist.",
    )  # fmt: skip

    async def run() -> None:
        record = await journal.draft(new_run())
        await record.add([given])
        await record.start()
        claim = await record.claim(redial_after=None)
        assert claim.attempt is not None
        assert claim.attempt.asked == given

    asyncio.run(run())


def test_what_a_program_puts_into_extra_columns_never_stops_a_run(journal: Journal, new_run: New, asked: Ask) -> None:
    odd = Provider(name="Odd", phone="+12005550100", extra={"when": WHEN, "path": Path("a")})

    async def run() -> None:
        record = await journal.draft(new_run())
        await record.add([CallRequest(index=0, provider=odd, request=ServiceRequest())])
        extra = journal.result(record.id).results[0].provider.extra
        assert extra == {"when": "2026-11-24T09:00:00.000000+00:00", "path": "a"}

    asyncio.run(run())


def test_each_state_is_shown_as_what_a_person_wants_to_know(
    journal: Journal, new_run: New, asked: Ask, outcome: Known, result: Final
) -> None:
    duplicate = Reason("duplicate", "duplicate of line 2")

    async def run() -> Sequence[CallResult]:
        record = await journal.draft(new_run())
        await record.add([*(asked(index) for index in range(7)), asked(7, skip=duplicate)])
        await record.start()
        dialing = (await record.claim(redial_after=None)).attempt
        assert dialing is not None
        await _placed(record)
        ended, settled = await _placed(record), await _placed(record)
        for attempt in (ended, settled):
            await record.ended(attempt, outcome())
        await record.settled(settled, result(settled.asked))
        for move, status in ((record.refused, CallStatus.ERROR), (record.uncertain, CallStatus.UNCERTAIN)):
            attempt = (await record.claim(redial_after=None)).attempt  # type: ignore[assignment]
            await move(attempt, result(attempt.asked, status))
        return list(journal.result(record.id).results)

    results = asyncio.run(run())
    code = Reason("code", "What happened.")
    assert [(r.index, r.status, r.call_id, r.call_method, r.error) for r in results] == [
        (0, CallStatus.IN_PROGRESS, None, None, None),
        (1, CallStatus.IN_PROGRESS, "call-1", CallMethod.DIRECT_VAPI, None),
        (2, CallStatus.IN_PROGRESS, "call-1", CallMethod.DIRECT_VAPI, None),
        (3, CallStatus.COMPLETED, "call-1", CallMethod.DIRECT_VAPI, None),
        (4, CallStatus.ERROR, None, None, code),
        (5, CallStatus.UNCERTAIN, None, None, code),
        (6, CallStatus.PENDING, None, None, None),
        (7, CallStatus.SKIPPED, None, None, duplicate),
    ]
    assert [r.analysis.status for r in results[4:]] == [AnalysisStatus.NONE] * 4
    assert results[2].transcript == results[3].transcript != ""


@pytest.mark.parametrize(
    ("facts", "method"),
    [
        ({}, CallMethod.DIRECT_VAPI),
        ({"via": "kestra"}, CallMethod.KESTRA),
        ({"simulated": True}, CallMethod.SIMULATED),
    ],
)
def test_a_call_on_the_line_says_by_which_way_it_was_placed(
    journal: Journal, begin: Begin, facts: dict[str, Any], method: CallMethod
) -> None:
    async def run() -> None:
        record = await begin(journal, 1, **facts)
        await _placed(record)
        assert journal.result(record.id).results[0].call_method is method

    asyncio.run(run())


def test_a_call_id_is_kept_though_its_row_waits_again(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        await record.void(await _placed(record), Reason("no_line", "No line was free."))
        (result,) = journal.result(record.id).results
        assert (result.status, result.call_id) == (CallStatus.PENDING, "call-1")

    asyncio.run(run())


def test_the_figures_add_up(journal: Journal, new_run: New, asked: Ask, outcome: Known, result: Final) -> None:
    skips = [Reason("duplicate", "d"), Reason("called_lately", "c"), Reason("bad_phone", "b"), None]

    async def run() -> RunStats:
        record = await journal.draft(new_run())
        await record.add([asked(index, skip=skips[min(index, 3)]) for index in range(14)])
        await record.start()
        for position, status in enumerate(FINAL):
            attempt = await _placed(record)
            await record.ended(attempt, outcome(seconds=10.0 * position))
            await record.settled(attempt, CallResult.of(attempt.asked, outcome(status, seconds=10.0 * position)))
        doubtful = await _placed(record)
        await record.uncertain(doubtful, result(doubtful.asked, CallStatus.UNCERTAIN))
        await _placed(record)
        seen = journal.result(record.id)
        assert len(seen.results) == seen.stats.total
        return seen.stats

    stats = asyncio.run(run())
    assert stats == RunStats(
        total=14, successful=1, failed=1, timed_out=1, no_answer=1, busy=1, voicemail=1, cancelled=1, uncertain=1,
        skipped=3, unusable=1, pending=2, in_progress=1, average_call_duration=30.0, peak_concurrent=1,
        cost=7 * 0.25,
    )  # fmt: skip
    assert sum(getattr(stats, name) for name in COUNTS) == stats.total


def test_a_call_without_both_ends_does_not_count_in_the_average(journal: Journal, begin: Begin, outcome: Known) -> None:
    async def run() -> None:
        record = await begin(journal, 2)
        for known in (outcome(seconds=40.0), CallOutcome(status=CallStatus.NO_ANSWER, ended_at=WHEN)):
            attempt = await _placed(record)
            await record.ended(attempt, known)
            await record.settled(attempt, CallResult.of(attempt.asked, known))
        assert journal.result(record.id).stats.average_call_duration == 40.0

    asyncio.run(run())


def test_a_run_without_a_call_has_no_average_and_no_cost(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 0)
        assert journal.result(record.id).stats == RunStats()

    asyncio.run(run())


@pytest.fixture
def many(journal: Journal, begin: Begin) -> Sequence[CallResult]:
    async def run() -> Sequence[CallResult]:
        return journal.result((await begin(journal, 250)).id).results

    return asyncio.run(run())


def test_results_are_a_sequence_in_the_files_order(many: Sequence[CallResult]) -> None:
    assert [result.index for result in many] == list(range(250))
    assert [result.index for result in reversed(many)] == list(range(249, -1, -1))
    assert (len(many), many[0].index, many[-1].index, many[120].index) == (250, 0, 249, 120)


@pytest.mark.parametrize("index", [250, -251])
def test_results_end_where_the_file_ends(many: Sequence[CallResult], index: int) -> None:
    with pytest.raises(IndexError):
        many[index]


def test_slices_of_results_are_what_a_list_would_give(many: Sequence[CallResult]) -> None:
    choose, expected = random.Random(5), list(range(250))  # noqa: S311 - any numbers will do
    bounds: list[int | None] = [None, *range(-260, 260, 7)]
    for _ in range(60):
        which = slice(choose.choice(bounds), choose.choice(bounds), choose.choice([None, 1, 2, 3, 120, -1, -3]))
        part = many[which]
        assert [result.index for result in part] == expected[which], which
        assert len(part) == len(expected[which])


def test_results_can_be_read_after_the_journal_is_closed(journal: Journal, many: Sequence[CallResult]) -> None:
    journal.close()
    assert [result.index for result in many[:3]] == [0, 1, 2]


def test_half_read_results_keep_nobody_from_writing(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 250)
        reading = iter(journal.result(record.id).results)
        seen = [next(reading).status]
        for _ in range(150):
            await record.claim(redial_after=None)
        seen += [result.status for result in reading]
        assert len(seen) == 250
        assert seen[120] is CallStatus.IN_PROGRESS

    asyncio.run(run())


def test_results_are_whole_while_another_thread_writes(journal: Journal, begin: Begin) -> None:
    async def claim_all(record: RunRecord) -> None:
        while (await record.claim(redial_after=None)).attempt is not None:
            pass

    record = asyncio.run(_begin(begin, journal, 300))
    writing = threading.Thread(target=lambda: asyncio.run(claim_all(record)))
    writing.start()
    readings = 0
    while writing.is_alive() or not readings:
        seen = journal.result(record.id)
        assert [result.index for result in seen.results] == list(range(300))
        assert seen.stats.pending + seen.stats.in_progress == seen.stats.total == 300
        readings += 1
    writing.join()
    assert journal.result(record.id).stats.in_progress == 300


def test_what_was_asked_is_read_in_the_same_order_without_what_came_of_it(journal: Journal, begin: Begin) -> None:
    record = asyncio.run(_begin(begin, journal, 250))
    results = journal.result(record.id).results
    assert isinstance(results, Results)
    for some in (results, results[3:220:7], results[::-1], results[5:5]):
        asked = [(request.index, request.provider, request.request) for request in some.requests()]
        assert asked == [(result.index, result.provider, result.request) for result in some]
    assert asked == []


def test_the_results_in_some_states_are_read_in_the_files_order_and_no_others(journal: Journal, begin: Begin) -> None:
    async def run() -> str:
        record = await begin(journal, 250)
        first, second = [(await record.claim(redial_after=None)).attempt for _ in range(2)]
        assert first is not None
        assert second is not None
        await record.void(first, Reason("no_line", "No line was free."))
        return record.id

    run_id = asyncio.run(run())
    whole = list(journal.result(run_id).results)
    assert list(journal.in_state(run_id, CallState.PENDING, CallState.SKIPPED)) == [whole[0], *whole[2:]]
    assert list(journal.in_state(run_id, CallState.DIALING)) == [whole[1]]
    assert list(journal.in_state(run_id, CallState.SETTLED)) == []


async def _begin(begin: Begin, journal: Journal, rows: int) -> RunRecord:
    return await begin(journal, rows)


def test_memory_stays_the_same_whether_a_run_is_short_or_long(journal: Journal, new_run: New, asked: Ask) -> None:
    async def run(rows: int) -> None:
        record = await journal.draft(new_run())
        for start in range(0, rows, 50):
            await record.add([asked(index) for index in range(start, start + 50)])
        await record.start()
        for _ in range(100):
            attempt = (await record.claim(redial_after=None)).attempt
            assert attempt is not None
            await record.void(attempt, Reason("no_line", "No line was free."))
        seen = journal.result(record.id)
        assert seen.stats.total == sum(1 for _ in seen.results) == rows

    def peak(rows: int) -> int:
        tracemalloc.start()
        asyncio.run(run(rows))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak(100)  # whatever is made only once is made now
    assert peak(5_000) < 2 * peak(200)  # 25 times the rows; what else the process does meanwhile is counted, too
