"""Rows that are handed over are claimed at once, told of only when they are dialled, and move on as others tell."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from concierge_calls.errors import IllegalTransition
from concierge_calls.journal import NOT_TOLD, Attempt, Handover, Journal, OnTheLine, RunRecord
from concierge_calls.models import CallRequest, CallResult, CallState, CallStatus, Reason
from tests.journal.conftest import Hands

Begin = Callable[..., Awaitable[RunRecord]]
Final = Callable[..., CallResult]

START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
WHY = Reason("why", "It was never dialled.")


async def handed_over(record: RunRecord) -> tuple[Handover, list[Attempt]]:
    """Hand over whoever waits in a run."""
    handover = await record.handovers.begin(namespace="ns", flow_id="a_flow", revision=3, allowed=60.0)
    page = await claimed(record, handover)
    return handover, page


async def claimed(record: RunRecord, handover: Handover, after: int = -1) -> list[Attempt]:
    page = await record.handovers.claim(
        handover, after=after, at=START, redial_after=None, is_doubted=lambda run_id: False
    )
    return page.attempts


def kinds(record: RunRecord) -> list[tuple[int | None, str]]:
    """Return what was told since the run began."""
    return [(row.index, row.kind.value) for row in record.history()][1:]


def span(begun: int, ended: int) -> OnTheLine:
    return OnTheLine(START + timedelta(seconds=begun), START + timedelta(seconds=ended))


def test_what_is_handed_over_holds_its_numbers_and_nobody_is_told_that_it_dials(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 3)
        handover, attempts = await handed_over(record)

        assert [(each.index, each.key) for each in attempts] == [(i, f"{record.id}-{i}-1") for i in range(3)]
        assert (await record.counts())[CallState.DIALING] == 3
        assert (kinds(record), list(journal.live(record.id))) == ([], [])
        assert journal.on_the_line("+12005550101", but="another") == record.id
        assert (await record.claim(redial_after=None)).attempt is None
        assert journal.result(record.id).stats.peak_concurrent == 0
        assert (handover.label, await record.handovers.still_open()) == (f"{record.id}.1", [handover])

    asyncio.run(run())


def test_a_page_is_of_a_hundred_rows(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 130)
        handover = await record.handovers.begin(namespace="ns", flow_id="a_flow", revision=1, allowed=60.0)
        first = await claimed(record, handover)
        second = await claimed(record, handover, after=first[-1].index)
        third = await claimed(record, handover, after=second[-1].index)
        assert (len(first), len(second), len(third)) == (100, 30, 0)

    asyncio.run(run())


def test_whoever_asked_not_to_be_called_is_skipped_at_the_claim(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 2)
        await journal.add_do_not_call("+12005550100")
        handover = await record.handovers.begin(namespace="ns", flow_id="a_flow", revision=1, allowed=60.0)
        page = await record.handovers.claim(
            handover, after=-1, at=START, redial_after=None, is_doubted=lambda run_id: False
        )
        assert [attempt.index for attempt in page.attempts] == [1]
        assert [(asked.index, reason.code) for _, asked, reason in page.skipped] == [(0, "do_not_call")]

    asyncio.run(run())


def test_what_never_left_is_given_back_as_though_it_had_never_been(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 2)
        handover, _ = await handed_over(record)
        await record.handovers.give_back(handover)

        assert ((await record.counts())[CallState.PENDING], kinds(record)) == (2, [])
        assert (await record.handovers.still_open(), await record.has_dialled()) == ([], False)
        attempt = (await record.claim(redial_after=None)).attempt
        assert attempt is not None
        assert attempt.key == f"{record.id}-0-1"

    asyncio.run(run())


def test_a_run_that_handed_over_and_was_refused_is_discarded(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 2)
        handover, _ = await handed_over(record)
        posting = await record.handovers.posting(handover)
        with pytest.raises(IllegalTransition):
            await record.discard()
        await record.handovers.give_back(posting)
        await record.discard()
        assert list(journal.infos()) == []

    asyncio.run(run())


def test_the_execution_is_known_after_a_crash(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        handover, _ = await handed_over(record)
        posting = await record.handovers.posting(handover)
        assert (posting.posted_at, posting.execution_id) == (START, None)
        await record.handovers.posted(posting, "an-execution")
        record.close()

        again = await journal.open_run(record.id)
        [known] = await again.handovers.still_open()
        assert (known.execution_id, known.namespace, known.flow_id, known.revision) == (
            "an-execution",
            "ns",
            "a_flow",
            3,
        )
        assert [attempt.index for attempt in await again.handovers.attempts(known)] == [0]

    asyncio.run(run())


def test_a_result_that_comes_home_tells_all_that_happened_and_when(
    journal: Journal, begin: Begin, result: Final
) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        handover, [attempt] = await handed_over(record)
        rows = await record.handovers.settled(attempt, result(attempt.asked), span(10, 90))
        await record.handovers.close(handover)

        assert [row.kind.value for row in rows] == ["call.dialing", "call.placed", "call.ended", "call.settled"]
        assert kinds(record) == [(0, row.kind.value) for row in rows]
        assert rows[0].at == START + timedelta(seconds=10)
        assert journal.result(record.id).results[0].status is CallStatus.COMPLETED
        assert list(journal.line_times(record.id)) == [80.0]
        assert await record.handovers.still_open() == []

    asyncio.run(run())


def test_a_row_is_told_as_dialling_once(journal: Journal, begin: Begin, result: Final) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        _, [attempt] = await handed_over(record)
        first, second = [await record.handovers.begun(attempt) for _ in range(2)]
        settled = await record.handovers.settled(attempt, result(attempt.asked), NOT_TOLD)

        assert ([row.kind.value for row in first], second) == (["call.dialing"], [])
        assert [row.kind.value for row in settled] == ["call.placed", "call.ended", "call.settled"]

    asyncio.run(run())


def test_those_that_nobody_told_of_may_have_been_dialled_until_the_execution_was_ended(
    journal: Journal, hands: Hands, begin: Begin, result: Final
) -> None:
    async def run() -> None:
        record = await begin(journal, 2)
        handover, [settled, silent] = await handed_over(record)
        await record.handovers.settled(settled, result(settled.asked), NOT_TOLD)
        hands.move(1800)
        await record.handovers.in_doubt(handover)

        assert [(each.index, each.dialed_at) for each in await record.unfinished()] == [
            (silent.index, START + timedelta(seconds=1800))
        ]

    asyncio.run(run())


def test_a_row_that_was_never_dialled_waits_again_and_only_who_was_told_of_it_is_told(
    journal: Journal, begin: Begin
) -> None:
    async def run() -> None:
        record = await begin(journal, 2)
        _, [silent, told] = await handed_over(record)
        await record.handovers.begun(told)
        rows = [await record.handovers.put_back(each, WHY) for each in (silent, told)]

        assert [[row.kind.value for row in each] for each in rows] == [[], ["call.pending"]]
        assert (await record.counts())[CallState.PENDING] == 2

    asyncio.run(run())


def test_a_call_that_is_found_from_here_and_was_never_dialled_is_told_as_any_other(
    journal: Journal, begin: Begin
) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        _, [attempt] = await handed_over(record)
        await record.placed(attempt, "call-1", START)
        await record.void(attempt, WHY)
        assert kinds(record) == [(0, "call.dialing"), (0, "call.placed"), (0, "call.pending")]

    asyncio.run(run())


def test_a_row_is_skipped_where_others_have_a_reason_to(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        _, [attempt] = await handed_over(record)
        rows = await record.handovers.skipped(attempt, Reason("do_not_call", "They asked for it."))

        assert [row.kind.value for row in rows] == ["call.skipped"]
        known = journal.result(record.id).results[0]
        assert (known.status, known.error) == (CallStatus.SKIPPED, Reason("do_not_call", "They asked for it."))

    asyncio.run(run())


def test_a_call_in_doubt_keeps_its_id_and_may_come_home_after_all(
    journal: Journal, begin: Begin, result: Final
) -> None:
    async def run() -> None:
        record = await begin(journal, 2)
        handover, [known, lost] = await handed_over(record)
        doubt = result(known.asked, CallStatus.UNCERTAIN)
        with_id = CallResult.of(known.asked, doubt, call_id="call-9")
        await record.handovers.uncertain(known, with_id, NOT_TOLD)
        await record.handovers.uncertain(lost, result(lost.asked, CallStatus.UNCERTAIN), NOT_TOLD)
        assert [each.call_id for each in journal.result(record.id).results] == ["call-9", None]

        [_, attempt] = await record.handovers.attempts(handover)
        assert attempt.state is CallState.UNCERTAIN
        await record.handovers.settled(attempt, result(attempt.asked), span(0, 60))
        assert journal.result(record.id).results[1].status is CallStatus.COMPLETED

    asyncio.run(run())


@pytest.mark.parametrize(
    ("spans", "peak"),
    [
        ([(0, 10), (10, 20), (20, 30)], 1),  # a line that was given back is the next one's
        ([(0, 30), (5, 20), (19, 40)], 3),
        ([(0, 10), (5, 15), (12, 20)], 2),
    ],
)
def test_the_peak_is_of_calls_that_had_their_lines_together_and_not_of_rows_that_waited(
    journal: Journal, begin: Begin, result: Final, spans: list[tuple[int, int]], peak: int
) -> None:
    async def run() -> None:
        record = await begin(journal, 4)
        handover, attempts = await handed_over(record)
        for attempt, (begun, ended) in zip(attempts, spans, strict=False):
            await record.handovers.settled(attempt, result(attempt.asked), span(begun, ended))
        await record.handovers.put_back(attempts[-1], WHY)
        await record.handovers.close(handover)
        assert journal.result(record.id).stats.peak_concurrent == peak

    asyncio.run(run())


def test_what_others_call_counts_no_line_of_ours(
    journal: Journal, begin: Begin, asked: Callable[..., CallRequest]
) -> None:
    async def run() -> None:
        record = await begin(journal, 3)
        handover, [first, *_] = await handed_over(record)
        await record.handovers.put_back(first, WHY)
        await record.claim(redial_after=None)
        assert journal.result(record.id).stats.peak_concurrent == 1
        assert [each.index for each in await record.handovers.attempts(handover)] == [1, 2]

    asyncio.run(run())
