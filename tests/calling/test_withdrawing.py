"""A call that waits for a line and is taken back: whenever its process dies, a resume knows that it was us."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from concierge_calls.backend import Verdict
from concierge_calls.caller import Caller
from concierge_calls.errors import JournalFull
from concierge_calls.models import CallEvent, CallStatus
from concierge_calls.stopping import LEAVING_LIMIT
from tests.calling.fakes import Deleted, PaperCall, Take, now
from tests.calling.rehearsal import Rehearsal, Rehearse, killed

WAITING = Take(verdict=Verdict.WITHDRAWN, talk=30, read_back=60, status=CallStatus.CANCELLED)

Scenario = Callable[[Rehearsal], Awaitable[None]]


async def finish(run: Rehearsal) -> None:
    """Take up the run by a process that nobody stops."""
    caller: Caller = await run.caller()
    await caller.call_all()
    assert (caller.on_the_line, caller.interrupted, caller.stopped) == (0, False, None)


def left_and_taken_up(*, away: float) -> Scenario:
    """Leave the run while a call waits in it, and have another process take it up so many seconds later."""

    async def scenario(run: Rehearsal) -> None:
        caller = await run.caller()
        calling = asyncio.ensure_future(caller.call_all())
        await asyncio.sleep(3)
        await caller.leave()
        await calling
        assert now() == 3 + LEAVING_LIMIT
        run.die()
        await asyncio.sleep(away)
        await finish(run)

    return scenario


def killed_and_taken_up(*, after: float, away: float = 0.0) -> Scenario:
    """Kill the run's process, and have another one take it up so many seconds later."""

    async def scenario(run: Rehearsal) -> None:
        await killed(run, after)
        await asyncio.sleep(away)
        await finish(run)

    return scenario


def assert_dialled_again(run: Rehearsal) -> None:
    assert (run.statuses(), run.backend.order) == (["completed"], [0, 0])
    assert [(each.ordinal, each.state, each.call_id, each.withdrawing) for each in run.attempts()] == [
        (1, "void", "call-1", True),
        (2, "settled", "call-2", False),
    ]


def test_that_a_call_is_to_be_taken_back_is_committed_before_it_is_and_told_to_nobody(rehearse: Rehearse) -> None:
    run = rehearse(1, {0: [WAITING]})
    run.call_all()

    assert run.backend.deleted == [Deleted("call-1", committed=True)]
    assert run.told(0)[:4] == ["dialing", "placed", "pending", "dialing"]
    assert_dialled_again(run)


@pytest.mark.parametrize("away", [0.0, 600.0], ids=["before it is read back", "after it is over"])
def test_a_call_that_was_being_taken_back_when_leaving_had_lasted_too_long_is_dialled_by_a_resume(
    rehearse: Rehearse, away: float
) -> None:
    run = rehearse(1, {0: [WAITING]})
    run.play(left_and_taken_up(away=away))

    assert run.backend.deleted == [Deleted("call-1", committed=True)]
    assert_dialled_again(run)


@pytest.mark.parametrize("away", [0.0, 600.0], ids=["before it is read back", "after it is over"])
def test_a_call_that_was_being_taken_back_when_the_process_was_killed_is_dialled_by_a_resume(
    rehearse: Rehearse, away: float
) -> None:
    run = rehearse(1, {0: [WAITING]})
    run.play(killed_and_taken_up(after=40, away=away))

    assert_dialled_again(run)


def test_a_call_that_was_to_be_taken_back_and_was_not_when_the_process_died_is_taken_back_by_a_resume(
    rehearse: Rehearse,
) -> None:
    async def scenario(run: Rehearsal) -> None:
        take_back = run.backend._take_back
        run.backend._take_back = lambda call: None  # type: ignore[method-assign]
        await killed(run, 40)
        assert run.attempts()[0].withdrawing
        run.backend._take_back = take_back  # type: ignore[method-assign]
        await finish(run)

    run = rehearse(1, {0: [WAITING]})
    run.play(scenario)

    assert run.backend.deleted == [Deleted("call-1", committed=True)]
    assert_dialled_again(run)


def test_a_call_that_was_to_be_taken_back_and_got_its_line_is_followed_to_its_end(rehearse: Rehearse) -> None:
    async def scenario(run: Rehearsal) -> None:
        run.backend._take_back = lambda call: None  # type: ignore[method-assign]
        await killed(run, 40)
        call = run.backend.calls["call-1"]
        call.take = Take(talk=100)
        asyncio.get_running_loop().call_later(60, run.backend._end, call)
        await finish(run)

    run = rehearse(1, {0: [WAITING]})
    run.play(scenario)

    assert (run.statuses(), run.backend.order, run.backend.deleted) == (["completed"], [0], [])
    assert run.told(0) == ["ringing", "in_progress", "ended", "settled"]


@pytest.mark.parametrize("killed_first", [False, True])
def test_a_call_that_somebody_else_took_back_is_cancelled_for_good(rehearse: Rehearse, killed_first: bool) -> None:
    async def scenario(run: Rehearsal) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(5, lambda: run.backend._end(run.backend.calls["call-1"]))
        if killed_first:
            await killed(run, 3)
        await finish(run)

    run = rehearse(1, {0: [WAITING]})
    run.play(scenario)

    assert (run.statuses(), run.backend.order, run.backend.deleted) == (["cancelled"], [0], [])
    assert [(attempt.state, attempt.withdrawing) for attempt in run.attempts()] == [("settled", False)]


def test_a_call_is_not_taken_back_when_that_it_is_to_be_cannot_be_committed(rehearse: Rehearse) -> None:
    async def scenario(run: Rehearsal) -> None:
        caller = await run.caller()
        run.broken = lambda method: JournalFull("The disk is full.") if method == "withdrawing" else None
        with pytest.raises(ExceptionGroup) as raised:
            await caller.call_all()
        assert raised.group_contains(JournalFull)
        await asyncio.sleep(600)

    run = rehearse(1, {0: [WAITING]})
    run.play(scenario)

    assert run.backend.deleted == []
    assert [(attempt.state, attempt.withdrawing) for attempt in run.attempts()] == [("placed", False)]


def test_a_call_that_was_lost_when_it_was_taken_back_and_is_found_at_the_end_is_dialled_again(
    rehearse: Rehearse,
) -> None:
    take_back: list[Callable[[PaperCall], None]] = []

    def lose(call: PaperCall) -> None:
        take_back[0](call)
        call.take = replace(call.take, verdict=Verdict.LOST)

    def find(event: CallEvent) -> None:
        if event.kind == "call.settled" and event.index == 0 and len(run.backend.sent) == 1:
            call = run.backend.calls["call-1"]
            call.take = replace(call.take, verdict=Verdict.WITHDRAWN)

    run = rehearse(1, {0: [WAITING]})
    take_back.append(run.backend._take_back)
    run.backend._take_back = lose  # type: ignore[method-assign]
    run.observer = find
    run.call_all()

    assert_dialled_again(run)
