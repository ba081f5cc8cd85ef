"""Each row moves only as the diagram of its states allows."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from concierge_calls.errors import IllegalTransition
from concierge_calls.journal import Attempt, Claim, Journal, RunRecord
from concierge_calls.models import CallOutcome, CallRequest, CallResult, CallState, CallStatus, EventKind, Reason

Begin = Callable[..., Awaitable[RunRecord]]
Step = Callable[[RunRecord, Attempt], Awaitable[object]]

WHEN = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
LOST = Reason("lost", "The reply was lost.")


def _finally(attempt: Attempt, status: CallStatus) -> CallResult:
    return CallResult.of(attempt.asked, CallOutcome(status=status))


STEPS: dict[str, Step] = {
    "placed": lambda record, attempt: record.placed(attempt, "call-1", WHEN),
    "adopted": lambda record, attempt: record.placed(attempt, "call-1", WHEN, adopted=True),
    "progressed": lambda record, attempt: record.progressed(attempt, EventKind.CALL_RINGING),
    "withdrawing": lambda record, attempt: record.withdrawing(attempt),
    "ended": lambda record, attempt: record.ended(attempt, CallOutcome(status=CallStatus.COMPLETED), b"{}"),
    "settled": lambda record, attempt: record.settled(attempt, _finally(attempt, CallStatus.COMPLETED), b"{}"),
    "refused": lambda record, attempt: record.refused(attempt, _finally(attempt, CallStatus.ERROR)),
    "uncertain": lambda record, attempt: record.uncertain(attempt, _finally(attempt, CallStatus.UNCERTAIN)),
    "void": lambda record, attempt: record.void(attempt, LOST),
    "redial": lambda record, attempt: record.redial(attempt),
}

# How a freshly claimed attempt comes into each state, and which steps lead on from there, to which state of the row.
WAYS: dict[str, tuple[str, ...]] = {
    "dialing": (),
    "placed": ("placed",),
    "adopted": ("uncertain", "adopted"),
    "withdrawing": ("placed", "withdrawing"),
    "ended": ("placed", "ended"),
    "settled": ("placed", "ended", "settled"),
    "refused": ("refused",),
    "uncertain": ("uncertain",),
    "void": ("void",),
}
LEGAL: dict[tuple[str, str], str] = {
    ("dialing", "placed"): "placed",
    ("dialing", "adopted"): "placed",
    ("dialing", "refused"): "refused",
    ("dialing", "uncertain"): "uncertain",
    ("dialing", "void"): "pending",
    ("placed", "progressed"): "placed",
    ("placed", "withdrawing"): "placed",
    ("placed", "ended"): "ended",
    ("placed", "uncertain"): "uncertain",
    ("placed", "void"): "pending",
    ("adopted", "progressed"): "placed",
    ("adopted", "withdrawing"): "placed",
    ("adopted", "ended"): "ended",
    ("adopted", "uncertain"): "uncertain",
    ("adopted", "void"): "pending",
    ("withdrawing", "progressed"): "placed",
    ("withdrawing", "withdrawing"): "placed",
    ("withdrawing", "ended"): "ended",
    ("withdrawing", "uncertain"): "uncertain",
    ("withdrawing", "void"): "pending",
    ("ended", "settled"): "settled",
    ("ended", "uncertain"): "uncertain",
    ("ended", "void"): "pending",
    ("uncertain", "adopted"): "placed",
    ("uncertain", "redial"): "dialing",
}
ILLEGAL = [(state, step) for state in WAYS for step in STEPS if (state, step) not in LEGAL]


async def _bring(begin: Begin, journal: Journal, state: str) -> tuple[RunRecord, Attempt]:
    record = await begin(journal, 1)
    attempt = (await record.claim(redial_after=None)).attempt
    assert attempt is not None
    for step in WAYS[state]:
        await STEPS[step](record, attempt)
    return record, attempt


def _everything(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as db:
        tables = ("runs", "rows", "attempts", "history", "do_not_call")
        return [db.execute(f"SELECT * FROM {table}").fetchall() for table in tables]  # noqa: S608 - our own names


@pytest.mark.parametrize(("state", "step"), LEGAL)
def test_a_legal_step_moves_the_row(journal: Journal, begin: Begin, state: str, step: str) -> None:
    async def run() -> CallState:
        record, attempt = await _bring(begin, journal, state)
        await STEPS[step](record, attempt)
        counts = await record.counts()
        return next(state for state in CallState if counts[state])

    assert asyncio.run(run()) == LEGAL[state, step]


@pytest.mark.parametrize(("state", "step"), ILLEGAL)
def test_an_illegal_step_is_refused_and_changes_nothing(
    journal: Journal, path: Path, begin: Begin, state: str, step: str
) -> None:
    async def run() -> None:
        record, attempt = await _bring(begin, journal, state)
        before = _everything(path)
        with pytest.raises(IllegalTransition, match="this is a bug"):
            await STEPS[step](record, attempt)
        assert _everything(path) == before

    asyncio.run(run())


def test_an_attempt_that_is_void_does_not_move_the_row_of_the_next_one(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record, first = await _bring(begin, journal, "void")
        second = (await record.claim(redial_after=None)).attempt
        assert second is not None
        assert (second.ordinal, second.key) == (2, f"{record.id}-0-2")
        with pytest.raises(IllegalTransition):
            await record.placed(first, "call-1", WHEN)
        await record.placed(second, "call-2", WHEN)

    asyncio.run(run())


def test_each_step_is_told_once_in_the_history(
    journal: Journal, begin: Begin, outcome: Callable[..., CallOutcome], result: Callable[..., CallResult]
) -> None:
    async def run() -> list[tuple[EventKind, int | None]]:
        record = await begin(journal, 1)
        claim = await record.claim(redial_after=None)
        attempt = claim.attempt
        assert attempt is not None
        told = [claim.event, await record.placed(attempt, "call-1", WHEN)]
        await record.withdrawing(attempt)
        told += [await record.progressed(attempt, EventKind.CALL_RINGING)]
        assert await record.progressed(attempt, EventKind.CALL_RINGING) is None
        told += [await record.progressed(attempt, EventKind.CALL_IN_PROGRESS)]
        assert await record.progressed(attempt, EventKind.CALL_RINGING) is None
        told += [await record.ended(attempt, outcome(), None), await record.settled(attempt, result(attempt.asked))]
        told += [await record.finish(finished=True)]
        assert record.history()[1:] == told
        return [(row.kind, row.index) for row in record.history()]

    assert asyncio.run(run()) == [
        (EventKind.RUN_STARTED, None),
        (EventKind.CALL_DIALING, 0),
        (EventKind.CALL_PLACED, 0),
        (EventKind.CALL_RINGING, 0),
        (EventKind.CALL_IN_PROGRESS, 0),
        (EventKind.CALL_ENDED, 0),
        (EventKind.CALL_SETTLED, 0),
        (EventKind.RUN_ENDED, None),
    ]


@pytest.mark.parametrize("step", ["refused", "uncertain"])
def test_a_call_that_was_never_followed_is_told_as_settled(journal: Journal, begin: Begin, step: str) -> None:
    async def run() -> EventKind:
        record, attempt = await _bring(begin, journal, "dialing")
        await STEPS[step](record, attempt)
        return record.history()[-1].kind

    assert asyncio.run(run()) is EventKind.CALL_SETTLED


@pytest.mark.parametrize("state", ["dialing", "placed", "adopted", "ended"])
def test_a_row_that_is_put_back_is_told_as_pending(journal: Journal, begin: Begin, state: str) -> None:
    async def run() -> None:
        record, attempt = await _bring(begin, journal, state)
        told = await record.void(attempt, LOST)
        assert (told.kind, told.index) == (EventKind.CALL_PENDING, 0)
        assert told == record.history()[-1]

    asyncio.run(run())


def test_a_call_progresses_only_to_what_happens_on_the_line(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record, attempt = await _bring(begin, journal, "placed")
        with pytest.raises(IllegalTransition, match=r"does not progress to call\.ended"):
            await record.progressed(attempt, EventKind.CALL_ENDED)

    asyncio.run(run())


def _busy(journal: Journal) -> tuple[threading.Event, threading.Event, Future[bool]]:
    """Keep the writer busy; it says when it is, and goes on when it is told to."""
    reached, go_on = threading.Event(), threading.Event()

    def wait(_: sqlite3.Connection) -> bool:
        reached.set()
        return go_on.wait(10)

    return reached, go_on, journal._writer.submit(wait)


def test_a_claim_that_is_cancelled_before_its_turn_is_never_made(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        reached, go_on, _ = _busy(journal)
        reached.wait()
        claiming = asyncio.ensure_future(record.claim(redial_after=None))
        await asyncio.sleep(0)
        claiming.cancel()
        await asyncio.wait({claiming})
        go_on.set()
        attempt = (await record.claim(redial_after=None)).attempt
        assert attempt is not None
        assert attempt.ordinal == 1

    asyncio.run(run())


def test_a_claim_that_is_cancelled_while_it_is_made_is_taken_back(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        reached, first, _ = _busy(journal)
        reached.wait()
        claiming = asyncio.ensure_future(record.claim(redial_after=None))
        await asyncio.sleep(0)
        reached, second, _ = _busy(journal)
        first.set()
        reached.wait()  # the claim is made, and not yet committed
        claiming.cancel()
        await asyncio.sleep(0)
        claiming.cancel()  # whoever asks twice does not have it sooner
        second.set()
        await asyncio.wait({claiming})
        assert claiming.cancelled()
        assert [(row.kind, row.index) for row in record.history()[1:]] == [
            (EventKind.CALL_DIALING, 0),
            (EventKind.CALL_PENDING, 0),
        ]

    asyncio.run(run())


def test_a_claim_that_fails_while_it_is_cancelled_leaves_nothing_to_take_back(
    journal: Journal, new_run: Callable[..., Any], asked: Callable[..., CallRequest]
) -> None:
    async def run() -> None:
        draft = await journal.draft(new_run())
        await draft.add([asked(0)])
        reached, first, _ = _busy(journal)
        reached.wait()
        claiming = asyncio.ensure_future(draft.claim(redial_after=None))
        await asyncio.sleep(0)
        reached, second, _ = _busy(journal)
        first.set()
        reached.wait()  # a draft dials nobody, so the claim has failed; that is told when the group is committed
        claiming.cancel()
        second.set()
        await asyncio.wait({claiming})
        assert claiming.cancelled()
        assert (await draft.counts())[CallState.PENDING] == 1

    asyncio.run(run())


def test_a_claim_that_is_cancelled_while_the_journal_is_closed_is_told_so(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        reached, first, _ = _busy(journal)
        reached.wait()
        claiming = asyncio.ensure_future(record.claim(redial_after=None))
        await asyncio.sleep(0)
        reached, second, _ = _busy(journal)
        first.set()
        reached.wait()
        claiming.cancel()
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(asyncio.to_thread(journal._writer.close))
        await asyncio.sleep(0)
        second.set()
        await asyncio.wait({claiming, closing})
        assert claiming.cancelled()

    asyncio.run(run())


def test_a_claim_that_was_committed_but_never_received_is_taken_back(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record = await begin(journal, 1)
        claiming = asyncio.ensure_future(record.claim(redial_after=None))
        await asyncio.sleep(0)  # it has asked the writer
        journal._writer.submit(lambda _: None).result()  # which has committed it by now, unseen by this loop
        claiming.cancel()
        await asyncio.wait({claiming})
        again: Claim = await record.claim(redial_after=None)
        assert again.attempt is not None
        assert again.attempt.ordinal == 2

    asyncio.run(run())


def test_a_step_that_was_asked_for_is_committed_though_nobody_waits_for_it(journal: Journal, begin: Begin) -> None:
    async def run() -> None:
        record, attempt = await _bring(begin, journal, "dialing")
        placing = asyncio.ensure_future(record.placed(attempt, "call-1", WHEN))
        await asyncio.sleep(0)
        placing.cancel()
        await asyncio.wait({placing})
        (known,) = await record.unfinished()
        assert known.call_id == "call-1"

    asyncio.run(run())


def test_what_a_resume_takes_up_is_whole(
    journal: Journal, begin: Begin, outcome: Callable[..., CallOutcome], asked: Callable[..., CallRequest]
) -> None:
    async def run() -> None:
        record = await begin(journal, 5)
        attempts = [claim.attempt for claim in [await record.claim(redial_after=None) for _ in range(4)]]
        dialing, placed, ended, doubtful = [attempt for attempt in attempts if attempt is not None]
        await record.placed(placed, "call-1", WHEN)
        await record.placed(ended, "call-2", WHEN)
        await record.ended(ended, outcome(), b'{"id": "call-2"}')
        await record.uncertain(doubtful, _finally(doubtful, CallStatus.UNCERTAIN))
        found = await record.unfinished()
        assert [attempt.state for attempt in found] == ["dialing", "placed", "ended", "uncertain"]
        assert found[0] == dialing
        assert [(a.call_id, a.created_at) for a in found[1:3]] == [("call-1", WHEN), ("call-2", WHEN)]
        assert found[3].asked == asked(3)

    asyncio.run(run())
