"""A row in doubt that is dialled again stays in doubt until the new attempt may have rung, too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from concierge_calls.journal import Attempt, Journal, RunRecord
from concierge_calls.models import (
    CallMethod,
    CallOutcome,
    CallResult,
    CallState,
    CallStatus,
    EventKind,
    Reason,
)

Begin = Callable[..., Awaitable[RunRecord]]

WHEN = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


async def _claimed(record: RunRecord) -> Attempt:
    attempt = (await record.claim(redial_after=None)).attempt
    assert attempt is not None
    return attempt


async def _in_doubt(record: RunRecord) -> Attempt:
    """Have the reply to the next row's request be lost."""
    attempt = await _claimed(record)
    await record.uncertain(attempt, CallResult.of(attempt.asked, CallOutcome(status=CallStatus.UNCERTAIN)))
    return attempt


async def _dialled_again(record: RunRecord) -> tuple[Attempt, Attempt]:
    """Have the next row's call be in doubt, and dial it again as somebody asked for; returns both attempts."""
    first = await _in_doubt(record)
    record.dial_again(first)
    return first, await _claimed(record)


def test_a_row_whose_second_attempt_rang_nobody_is_in_doubt_as_before(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        first = await _claimed(record)
        await record.placed(first, "call-1", WHEN)
        lost = CallOutcome(status=CallStatus.UNCERTAIN, error=Reason("lost", "Vapi does not know it any more."))
        in_doubt = CallResult.of(first.asked, lost, call_id="call-1", call_method=CallMethod.KESTRA)
        await record.uncertain(first, in_doubt)
        before = journal.result(record.id)
        record.dial_again(first)
        second = await _claimed(record)
        await record.placed(second, "call-2", WHEN)
        told = await record.void(second, Reason("no_line", "No line was free."))

        assert (told.kind, told.index, told.result) == (EventKind.CALL_SETTLED, 0, in_doubt)
        assert told == record.history()[-1]
        after = journal.result(record.id)
        assert (list(after.results), after.stats) == (list(before.results), before.stats)
        assert [(each.key, each.state, each.call_id) for each in await record.unfinished()] == [
            (first.key, CallState.UNCERTAIN, "call-1")
        ]

    asyncio.run(run())


def test_no_later_sitting_dials_a_row_again_whose_second_attempt_rang_nobody(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        _, second = await _dialled_again(record)
        record.close()
        record = await journal.open_run(record.id)
        await record.void(second, Reason("withdrawn", "It waited for a line for too long."))
        assert (await record.claim(redial_after=None)).attempt is None
        assert (await record.counts())[CallState.UNCERTAIN] == 1

    asyncio.run(run())


def test_a_call_in_doubt_that_came_at_a_bad_time_is_dialled_again_by_the_sitting_that_was_asked_to(
    journal: Journal, begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> list[str]:
        record = await begin(journal, 2)
        _, second = await _dialled_again(record)
        await record.void(second, Reason("no_line", "No line was free."))
        third = await _claimed(record)
        await record.void(third, Reason("no_line", "No line was free."))
        return [attempt.key.removeprefix(record.id) for attempt in (second, third, await _claimed(record))]

    assert asyncio.run(run()) == ["-0-2", "-0-3", "-0-4"]
    assert caplog.messages == ["…0100 was not dialled again, so its call stays in doubt: No line was free."]


@pytest.mark.parametrize("how", ["refused", "start_failed"])
def test_a_second_attempt_that_failed_for_good_leaves_the_first_in_doubt_and_says_why(
    journal: Journal, begin: Begin, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    why = Reason(how, "Vapi says that\n+1 200 555 0100 is of no use.")

    async def run() -> None:
        record = await begin(journal, 1)
        first, second = await _dialled_again(record)
        if how == "refused":
            error = CallOutcome(status=CallStatus.ERROR, error=why)
            await record.refused(second, CallResult.of(second.asked, error))
        else:
            await record.void(second, why)
        assert (await record.claim(redial_after=None)).attempt is None
        assert [each.key for each in await record.unfinished()] == [first.key]

    asyncio.run(run())
    assert caplog.messages == [
        "…0100 was not dialled again, so its call stays in doubt: Vapi says that …0100 is of no use."
    ]


def test_a_second_attempt_that_may_have_rung_is_the_rows_from_then_on(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        _, second = await _dialled_again(record)
        await record.uncertain(second, CallResult.of(second.asked, CallOutcome(status=CallStatus.UNCERTAIN)))
        assert [each.key for each in await record.unfinished()] == [second.key]

    asyncio.run(run())


def test_a_row_that_was_dialled_again_in_vain_can_be_found_and_followed(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        first, second = await _dialled_again(record)
        await record.void(second, Reason("credits", "The account has no credit."))
        await record.placed(first, "call-1", WHEN, adopted=True)
        assert [(each.key, each.call_id) for each in await record.unfinished()] == [(first.key, "call-1")]
        await record.void(first, Reason("withdrawn", "It had waited for a line."))
        assert (await _claimed(record)).key == f"{record.id}-0-3"

    asyncio.run(run())


def test_starts_that_fail_never_add_up_to_the_result_of_a_call_in_doubt(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        failed = Reason("start_failed", "The call never began.")
        await record.void(await _claimed(record), failed)
        in_doubt = await _in_doubt(record)
        assert in_doubt.failed_starts == 1
        for _ in range(2):
            record.dial_again(in_doubt)
            again = await _claimed(record)
            assert again.failed_starts == 0
            await record.void(again, failed)
        assert [each.failed_starts for each in await record.unfinished()] == [3]

    asyncio.run(run())


def test_a_second_attempt_that_is_cancelled_while_it_is_claimed_leaves_the_first_in_doubt(
    journal: Journal, begin: Begin
) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        first = await _in_doubt(record)
        record.dial_again(first)
        claiming = asyncio.ensure_future(record.claim(redial_after=None))
        await asyncio.sleep(0)  # it has asked the writer
        journal._writer.submit(lambda _: None).result()  # which has committed it by now, unseen by this loop
        claiming.cancel()
        await asyncio.wait({claiming})
        assert [each.key for each in await record.unfinished()] == [first.key]
        assert [row.kind for row in record.history()[-2:]] == [EventKind.CALL_DIALING, EventKind.CALL_SETTLED]

    asyncio.run(run())
