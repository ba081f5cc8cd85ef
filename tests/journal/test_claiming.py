"""Whoever claims a number first calls it, and the guards hold everybody else back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from concierge_calls.errors import IllegalTransition
from concierge_calls.journal import Attempt, Journal, NewRun, RunRecord
from concierge_calls.models import CallOutcome, CallRequest, CallResult, CallState, CallStatus, EventKind, Reason

Begin = Callable[..., Awaitable[RunRecord]]

WHEN = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
LATELY = WHEN - timedelta(hours=12)
NUMBER = "+12005550100"


async def _claimed(record: RunRecord) -> Attempt:
    attempt = (await record.claim(redial_after=None)).attempt
    assert attempt is not None
    return attempt


async def _called(record: RunRecord, until: CallState = CallState.SETTLED) -> Attempt:
    """Have the next row called, as far as this state."""
    attempt = await _claimed(record)
    done = CallOutcome(status=CallStatus.COMPLETED)
    if until is CallState.UNCERTAIN:
        await record.uncertain(attempt, CallResult.of(attempt.asked, CallOutcome(status=CallStatus.UNCERTAIN)))
    elif until is CallState.REFUSED:
        await record.refused(attempt, CallResult.of(attempt.asked, CallOutcome(status=CallStatus.ERROR)))
    elif until is not CallState.DIALING:
        await record.placed(attempt, "call-1", WHEN)
        if until is not CallState.PLACED:
            await record.ended(attempt, done)
            await record.settled(attempt, CallResult.of(attempt.asked, done))
    return attempt


def _told(claimed: Any) -> list[tuple[int, str]]:
    return [(asked.index, reason.code) for _, asked, reason in claimed.skipped]


def test_rows_are_claimed_in_the_files_order(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 3)
        attempts = [await _claimed(record) for _ in range(3)]
        assert [(a.index, a.ordinal, a.key) for a in attempts] == [(i, 1, f"{record.id}-{i}-1") for i in range(3)]
        left = await record.claim(redial_after=None)
        assert (left.attempt, left.event, list(left.skipped)) == (None, None, [])

    asyncio.run(run())


def test_a_key_fits_what_the_backend_takes(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 0)
        assert len(record.id) <= 20
        assert len(f"{record.id}-9999999-99999") <= 40

    asyncio.run(run())


def test_a_claim_keeps_when_it_was_made_by_the_backends_clock(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        ahead = WHEN + timedelta(hours=1)
        await record.claim(redial_after=None, at=ahead)
        assert [attempt.dialed_at for attempt in await record.unfinished()] == [ahead]

    asyncio.run(run())


def test_a_draft_dials_nobody(
    journal: Journal, new_run: Callable[..., NewRun], asked: Callable[..., CallRequest]
) -> None:
    async def run() -> None:
        record = await journal.draft(new_run())
        await record.add([asked(0)])
        with pytest.raises(IllegalTransition, match="has not begun"):
            await record.claim(redial_after=None)

    asyncio.run(run())


@pytest.mark.parametrize("until", [CallState.DIALING, CallState.PLACED])
def test_a_number_on_the_line_in_another_run_is_skipped_whatever_is_allowed(
    journal: Journal, begin: Begin, until: CallState
) -> None:
    async def run() -> None:
        other, record = await begin(journal, 1), await begin(journal, 2)
        await _called(other, until)
        claim = await record.claim(redial_after=None)
        assert _told(claim) == [(0, "on_the_line")]
        assert f"concierge-calls resume {other.id}" in claim.skipped[0][2].message
        assert claim.skipped[0][0].kind is EventKind.CALL_SKIPPED
        assert claim.attempt is not None
        assert claim.attempt.index == 1

    asyncio.run(run())


def test_a_number_that_only_waits_in_another_run_is_called(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        await begin(journal, 1)
        record = await begin(journal, 1)
        assert (await _claimed(record)).index == 0

    asyncio.run(run())


def test_a_number_that_another_run_called_lately_is_skipped_with_that_run(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        other, record = await begin(journal, 1), await begin(journal, 1)
        await _called(other)
        claim = await record.claim(redial_after=LATELY)
        assert _told(claim) == [(0, "called_lately")]
        called = datetime(2026, 11, 24, 9, tzinfo=UTC).astimezone()
        assert claim.skipped[0][2].message == (
            f"Run {other.id} called this number on {called:%Y-%m-%d at %H:%M};"
            " to call it again all the same: --allow-redial."
        )

    asyncio.run(run())


def test_a_number_that_was_called_long_ago_is_called(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        other, record = await begin(journal, 1), await begin(journal, 1)
        await _called(other)
        claim = await record.claim(redial_after=WHEN + timedelta(seconds=1))
        assert claim.attempt is not None

    asyncio.run(run())


def test_the_redial_guard_never_holds_between_attempts_of_one_run(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        attempt = await _called(record, CallState.PLACED)
        await record.void(attempt, Reason("no_line", "No line was free."))
        assert (await record.claim(redial_after=LATELY)).attempt is not None

    asyncio.run(run())


@pytest.mark.parametrize(
    ("until", "counts"),
    [
        (CallState.DIALING, False),
        (CallState.PLACED, True),
        (CallState.SETTLED, True),
        (CallState.UNCERTAIN, True),
        (CallState.REFUSED, False),
    ],
)
def test_called_lately_counts_what_may_have_rung(
    journal: Journal, begin: Begin, until: CallState, counts: bool
) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        await _called(record, until)
        found = journal.called_since(NUMBER, LATELY, but="another")
        assert found == ((record.id, WHEN) if counts else None)
        assert journal.called_since(NUMBER, LATELY, but=record.id) is None

    asyncio.run(run())


def test_a_void_attempt_does_not_count_as_a_call(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        attempt = await _called(record, CallState.PLACED)
        await record.void(attempt, Reason("no_line", "No line was free."))
        assert journal.called_since(NUMBER, LATELY, but="") is None

    asyncio.run(run())


def test_a_simulated_run_does_not_count_as_a_call(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        await _called(await begin(journal, 1, simulated=True))
        assert journal.called_since(NUMBER, LATELY, but="") is None

    asyncio.run(run())


def test_the_latest_of_several_calls_is_named(journal: Journal, begin: Begin, hands: Any) -> None:
    async def run() -> None:
        await _called(await begin(journal, 1))
        hands.move(3600)
        latest = await begin(journal, 1)
        await _called(latest)
        assert journal.called_since(NUMBER, LATELY, but="") == (latest.id, WHEN + timedelta(hours=1))

    asyncio.run(run())


def test_a_number_that_is_not_to_be_called_is_skipped(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 2)
        await journal.add_do_not_call(NUMBER, "said so in a letter")
        claim = await record.claim(redial_after=None)
        assert _told(claim) == [(0, "do_not_call")]
        assert claim.attempt is not None
        assert claim.attempt.index == 1

    asyncio.run(run())


@pytest.mark.parametrize("known_at_the_end", [False, True])
@pytest.mark.parametrize("said", [{"do_not_call": True}, {"mood": "angry", "booking": {"do_not_call": True}}])
def test_who_says_so_on_the_phone_is_not_called_again(
    journal: Journal,
    begin: Begin,
    outcome: Callable[..., CallOutcome],
    result: Callable[..., CallResult],
    said: dict[str, object],
    known_at_the_end: bool,
) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        attempt = await _called(record, CallState.PLACED)
        await record.ended(attempt, outcome(**said) if known_at_the_end else outcome())
        assert journal.do_not_call(NUMBER) == (WHEN if known_at_the_end else None)
        await record.settled(attempt, result(attempt.asked, **said))
        assert journal.do_not_call(NUMBER) == WHEN
        (entry,) = journal.list_do_not_call()
        assert (entry.number, entry.note) == (NUMBER, f"asked so on the phone, in run {record.id}")

    asyncio.run(run())


@pytest.mark.parametrize("said", [None, False, "true", 1])
def test_only_a_plain_yes_keeps_a_number_from_being_called(
    journal: Journal, begin: Begin, outcome: Callable[..., CallOutcome], result: Callable[..., CallResult], said: object
) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        attempt = await _called(record, CallState.PLACED)
        await record.ended(attempt, outcome())
        await record.settled(attempt, result(attempt.asked, do_not_call=said))
        assert journal.do_not_call(NUMBER) is None

    asyncio.run(run())


def test_the_first_wish_not_to_be_called_is_the_one_remembered(journal: Journal, hands: Any) -> None:
    async def run() -> None:
        await journal.add_do_not_call(NUMBER, "first")
        hands.move(60)
        await journal.add_do_not_call(NUMBER, "second")
        assert [(entry.since, entry.note) for entry in journal.list_do_not_call()] == [(WHEN, "first")]

    asyncio.run(run())


def test_a_number_can_be_taken_off_the_list_once(journal: Journal) -> None:
    async def run() -> None:
        await journal.add_do_not_call(NUMBER, "by mistake")
        assert await journal.remove_do_not_call(NUMBER)
        assert not await journal.remove_do_not_call(NUMBER)
        assert journal.do_not_call(NUMBER) is None

    asyncio.run(run())


def test_a_long_list_of_numbers_not_to_be_called_is_listed_whole(journal: Journal) -> None:
    numbers = sorted(f"+1{area}55501{last:02d}" for area in (201, 202, 203) for last in range(100))

    async def run() -> None:
        await asyncio.gather(*(journal.add_do_not_call(number, "imported") for number in numbers))

    asyncio.run(run())
    assert [entry.number for entry in journal.list_do_not_call()] == numbers


def test_one_claim_holds_back_no_more_than_a_hundred_rows(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 150)
        await asyncio.gather(
            *(journal.add_do_not_call(f"+1{200 + i // 100}55501{i % 100:02d}", "") for i in range(149))
        )
        first, second = await record.claim(redial_after=None), await record.claim(redial_after=None)
        assert (len(first.skipped), first.attempt) == (100, None)
        assert (len(second.skipped), second.attempt and second.attempt.index) == (49, 149)

    asyncio.run(run())


def test_one_run_cannot_have_a_number_on_the_line_twice(
    journal: Journal, new_run: Callable[..., NewRun], asked: Callable[..., CallRequest]
) -> None:
    async def run() -> None:
        record = await journal.draft(new_run())
        await record.add([asked(0, number=0), asked(1, number=0)])
        await record.start()
        await _claimed(record)
        with pytest.raises(IllegalTransition, match=r"UNIQUE constraint failed: attempts\.number"):
            await record.claim(redial_after=None)

    asyncio.run(run())


def test_an_uncertain_call_that_is_found_can_be_followed_beside_another_runs_call(
    journal: Journal, begin: Begin
) -> None:
    async def run() -> None:
        doubtful, other = await begin(journal, 1), await begin(journal, 1)
        attempt = await _called(doubtful, CallState.UNCERTAIN)
        await _called(other, CallState.PLACED)
        await doubtful.placed(attempt, "call-2", WHEN, adopted=True)
        assert (await doubtful.counts())[CallState.PLACED] == 1

    asyncio.run(run())


def test_an_uncertain_row_is_dialled_again_only_under_a_new_key(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        attempt = await _called(record, CallState.UNCERTAIN)
        assert (await record.claim(redial_after=None)).attempt is None
        again = await record.redial(attempt)
        assert not isinstance(again, Reason)
        assert again.attempt is not None
        assert again.attempt.key == f"{record.id}-0-2"
        assert [left.key for left in await record.unfinished()] == [again.attempt.key]

    asyncio.run(run())


def test_an_uncertain_row_is_not_dialled_again_while_another_run_has_its_number(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record, other = await begin(journal, 1), await begin(journal, 1)
        attempt = await _called(record, CallState.UNCERTAIN)
        await _called(other, CallState.PLACED)
        held_back = await record.redial(attempt)
        assert isinstance(held_back, Reason)
        assert held_back.code == "on_the_line"

    asyncio.run(run())


def test_what_is_to_be_dialled_again_goes_before_everybody_else_and_only_once(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 2)
        attempt = await _called(record, CallState.UNCERTAIN)
        record.dial_again(attempt)
        assert [(await _claimed(record)).key for _ in range(2)] == [f"{record.id}-0-2", f"{record.id}-1-1"]
        assert (await record.claim(redial_after=None)).attempt is None

    asyncio.run(run())


def test_a_call_in_doubt_that_was_found_meanwhile_is_not_dialled_again(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 2)
        attempt = await _called(record, CallState.UNCERTAIN)
        record.dial_again(attempt)
        await record.placed(attempt, "call-1", WHEN, adopted=True)
        assert (await _claimed(record)).key == f"{record.id}-1-1"

    asyncio.run(run())


def test_who_asked_meanwhile_not_to_be_called_is_not_dialled_again(
    journal: Journal, begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        record = await begin(journal, 2)
        record.dial_again(await _called(record, CallState.UNCERTAIN))
        await journal.add_do_not_call(NUMBER, "said so in a letter")
        assert (await _claimed(record)).key == f"{record.id}-1-1"
        assert (await record.counts())[CallState.UNCERTAIN] == 1

    asyncio.run(run())
    assert caplog.messages == [
        f"…0100 is not dialled again: They asked on {WHEN.astimezone():%Y-%m-%d} not to be called."
    ]


def test_a_run_that_dials_nobody_dials_again_whom_it_was_asked_to(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 2)
        record.dial_again(await _called(record, CallState.UNCERTAIN))
        record.dial_nobody()
        assert (await _claimed(record)).key == f"{record.id}-0-2"
        left = await record.claim(redial_after=None)
        assert (left.attempt, list(left.skipped)) == (None, [])

    asyncio.run(run())


def test_only_runs_that_may_have_a_number_of_this_one_on_the_line_hold_it(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        waits, settled = await begin(journal, 1), await begin(journal, 1)
        simulated = await begin(journal, 1, simulated=True)
        await _called(simulated, CallState.PLACED)
        await _called(settled)
        assert journal.on_the_line(NUMBER, but=record.id) is None
        await _called(waits, CallState.DIALING)
        assert journal.on_the_line(NUMBER, but=record.id) == waits.id
        assert journal.on_the_line(NUMBER, but=waits.id) is None

    asyncio.run(run())
