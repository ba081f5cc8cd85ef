"""Stopping: to drain is to dial nobody new; to leave is to stop following, and to hang up nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, tzinfo

import pytest

from concierge_calls import underway
from concierge_calls.backend import Verdict
from concierge_calls.caller import Caller
from concierge_calls.errors import AccountRefused, ComeBackLater, PlacementInDoubt
from concierge_calls.models import CallEvent, CallStatus
from concierge_calls.stopping import LEAVING_LIMIT
from concierge_calls.underway import LONGEST_DOUBT, Awaited
from tests.calling.fakes import LAG, LATEST_ANALYSIS, LATEST_END, Take, now
from tests.calling.rehearsal import Rehearsal, Rehearse, killed


def stopped_after(
    run: Rehearsal, seconds: float, stop: Callable[[Caller], Awaitable[None] | None], **how: object
) -> tuple[Caller, float]:
    """Have the run stopped so many seconds after its beginning; returns also when it returned."""

    async def scenario(run: Rehearsal) -> tuple[Caller, float]:
        caller = await run.caller(**how)  # type: ignore[arg-type]
        calling = asyncio.ensure_future(caller.call_all())
        await asyncio.sleep(seconds)
        if (stopping := stop(caller)) is not None:
            await stopping
        await calling
        return caller, now()

    return run.play(scenario)


def test_to_drain_is_to_dial_nobody_new_and_to_follow_who_is_on_the_line(rehearse: Rehearse) -> None:
    run = rehearse(5, {0: [Take(talk=30, analysis=5)], 1: [Take(talk=40)]})
    caller, returned = stopped_after(run, 3, Caller.drain, lines=2)

    assert run.statuses() == ["completed", "completed", "pending", "pending", "pending"]
    assert (caller.interrupted, caller.stopped, returned) == (True, None, 40)
    assert run.backend.hung_up == []


def test_to_drain_twice_does_no_harm(rehearse: Rehearse) -> None:
    def twice(caller: Caller) -> None:
        caller.drain()
        caller.drain()

    run = rehearse(2, {0: [Take(talk=30)]})
    stopped_after(run, 3, twice, lines=1)
    assert run.statuses() == ["completed", "pending"]


def test_to_drain_with_hanging_up_ends_the_calls_on_the_line(rehearse: Rehearse) -> None:
    run = rehearse(4, {index: [Take(talk=300)] for index in range(4)})
    _, returned = stopped_after(run, 3, Caller.drain, lines=2, hang_up=True)

    assert run.statuses() == ["cancelled", "cancelled", "pending", "pending"]
    assert (run.backend.hung_up, returned) == (["call-1", "call-2"], 3)


def test_a_call_that_is_being_placed_while_all_are_hung_up_is_hung_up_as_soon_as_its_id_is_known(
    rehearse: Rehearse,
) -> None:
    run = rehearse(2, {0: [Take(after=8, talk=300)]})
    _, returned = stopped_after(run, 3, Caller.drain, lines=1, hang_up=True)
    assert (run.statuses(), returned) == (["cancelled", "pending"], 8)


def test_whoever_waits_for_the_interval_is_not_dialled_after_all(rehearse: Rehearse) -> None:
    run = rehearse(3, {0: [Take(talk=30)]})
    stopped_after(run, 5, Caller.drain, lines=3, start_interval=10.0)
    assert (run.backend.order, run.statuses()) == ([0], ["completed", "pending", "pending"])


def test_a_call_that_could_be_placed_later_is_left_when_the_run_is_drained(rehearse: Rehearse) -> None:
    run = rehearse(1, {0: [Take(error=ComeBackLater(retry_after=60.0))]})
    _, returned = stopped_after(run, 5, Caller.drain)
    assert (run.statuses(), run.backend.order, returned) == (["pending"], [0], 5)


def test_a_call_in_doubt_is_looked_for_to_the_end_of_a_drained_run(rehearse: Rehearse) -> None:
    run = rehearse(2, {0: [Take(error=PlacementInDoubt(), shown=50, talk=70)]})
    _, returned = stopped_after(run, 5, Caller.drain, lines=1)
    assert (run.statuses(), returned) == (["completed", "pending"], 70)


def test_to_leave_returns_at_once_and_the_calls_stay_placed_on_the_line(rehearse: Rehearse) -> None:
    run = rehearse(4, {index: [Take(talk=300)] for index in range(4)})
    caller, returned = stopped_after(run, 3, Caller.leave, lines=2)

    assert [attempt.state for attempt in run.attempts()] == ["placed", "placed"]
    assert run.statuses() == ["in_progress", "in_progress", "pending", "pending"]
    assert (caller.interrupted, caller.on_the_line, returned, run.backend.hung_up) == (True, 0, 3, [])


def test_to_leave_waits_for_the_replies_to_requests_that_have_left(rehearse: Rehearse) -> None:
    run = rehearse(2, {0: [Take(after=4, talk=300)]})
    _, returned = stopped_after(run, 3, Caller.leave, lines=1)

    assert [(attempt.state, attempt.call_id) for attempt in run.attempts()] == [("placed", "call-1")]
    assert returned == 4


def test_to_leave_waits_for_such_a_reply_ten_seconds_and_no_longer(rehearse: Rehearse) -> None:
    run = rehearse(3, {0: [Take(after=None, talk=300)], 1: [Take(talk=300)]})
    _, returned = stopped_after(run, 3, Caller.leave, lines=2)

    assert [attempt.state for attempt in run.attempts()] == ["dialing", "placed"]
    assert returned == 3 + LEAVING_LIMIT
    assert run.backend.turns_out == 0


def test_to_leave_stops_looking_for_a_call_in_doubt_whose_row_says_so(rehearse: Rehearse) -> None:
    run = rehearse(1, {0: [Take(error=PlacementInDoubt(), dials=False)]})
    _, returned = stopped_after(run, 5, Caller.leave)
    assert ([attempt.state for attempt in run.attempts()], returned) == (["dialing"], 5)


def test_to_leave_leaves_the_analysis_to_a_resume(rehearse: Rehearse) -> None:
    run = rehearse(1, {0: [Take(talk=10, analysis=100)]})
    _, returned = stopped_after(run, 50, Caller.leave)
    assert ([attempt.state for attempt in run.attempts()], returned) == (["ended"], 50)


def test_to_leave_after_draining_is_the_second_ctrl_c(rehearse: Rehearse) -> None:
    async def both(caller: Caller) -> None:
        caller.drain()
        await asyncio.sleep(10)
        await caller.leave()

    run = rehearse(3, {0: [Take(talk=5)], 1: [Take(talk=300)]})
    _, returned = stopped_after(run, 3, both, lines=2)
    assert (run.statuses(), returned) == (["completed", "in_progress", "pending"], 13)


def test_when_the_account_is_refused_nobody_is_hung_up_whatever_ctrl_c_would_do(rehearse: Rehearse) -> None:
    run = rehearse(3, {0: [Take(talk=30)], 1: [Take(error=AccountRefused(), after=3)]})
    run.call_all(lines=2, hang_up=True)
    assert (run.backend.hung_up, run.statuses()) == ([], ["completed", "pending", "pending"])


WAITING = Take(verdict=Verdict.WITHDRAWN, talk=300, status=CallStatus.CANCELLED)


def test_to_leave_takes_back_who_waits_for_a_line_and_leaves_who_is_on_one(rehearse: Rehearse) -> None:
    run = rehearse(3, {0: [Take(talk=300)], 1: [WAITING]})
    caller, returned = stopped_after(run, 3, Caller.leave, lines=2)

    assert [(attempt.row, attempt.state) for attempt in run.attempts()] == [(0, "placed"), (1, "void")]
    assert run.statuses() == ["in_progress", "pending", "pending"]
    assert (run.backend.withdrawn, run.backend.hung_up) == (["call-2"], [])
    assert (caller.interrupted, caller.on_the_line, returned) == (True, 0, 3)


def test_to_leave_takes_back_a_call_too_that_is_told_to_wait_for_a_line_only_then(rehearse: Rehearse) -> None:
    run = rehearse(3, {0: [replace(WAITING, after=8)], 1: [Take(after=8, talk=300)], 2: [WAITING]})
    _, returned = stopped_after(run, 3, Caller.leave, lines=3)

    assert [(attempt.row, attempt.state) for attempt in run.attempts()] == [(0, "void"), (1, "placed"), (2, "void")]
    assert (run.backend.withdrawn, run.backend.hung_up, returned) == (["call-3", "call-1"], [], 8)


def test_to_leave_waits_ten_seconds_for_a_call_to_be_taken_back_and_no_longer(rehearse: Rehearse) -> None:
    run = rehearse(1, {0: [replace(WAITING, read_back=60)]})
    _, returned = stopped_after(run, 3, Caller.leave)

    assert [(attempt.state, attempt.withdrawing) for attempt in run.attempts()] == [("placed", True)]
    assert (run.backend.withdrawn, returned) == (["call-1"], 3 + LEAVING_LIMIT)


def test_to_leave_ends_a_look_that_hangs_for_what_an_earlier_process_left_in_doubt(rehearse: Rehearse) -> None:
    async def scenario(run: Rehearsal) -> float:
        await killed(run, 10)
        run.backend.looks_hang = True
        caller = await run.caller()
        calling = asyncio.ensure_future(caller.call_all())
        await asyncio.sleep(20)
        await caller.leave()
        await calling
        return now()

    run = rehearse(2, {0: [Take(error=PlacementInDoubt(), after=60)], 1: [Take(talk=5)]})
    assert run.play(scenario) == 30
    assert [attempt.state for attempt in run.attempts()] == ["dialing", "settled"]
    assert len(run.backend.looks) == 1


def test_to_leave_ends_a_last_look_that_hangs(rehearse: Rehearse) -> None:
    def hang(event: CallEvent) -> None:
        run.backend.looks_hang = event.kind == "call.settled"

    run = rehearse(1, {0: [Take(error=PlacementInDoubt("Lost.", "reply_lost"), dials=False)]})
    run.observer = hang
    _, returned = stopped_after(run, 200, Caller.leave)
    assert (run.statuses(), returned) == (["uncertain"], 200)


def test_to_leave_while_it_is_read_what_an_earlier_process_left_begins_no_look_for_it(rehearse: Rehearse) -> None:
    async def scenario(run: Rehearsal) -> None:
        await killed(run, 10)
        run.backend.looks_hang = True
        caller = await run.caller()
        leaving: list[asyncio.Future[None]] = []

        def leave(method: str) -> None:
            if method == "unfinished":
                leaving.append(asyncio.ensure_future(caller.leave()))

        run.broken = leave
        await caller.call_all()
        await asyncio.gather(*leaving)

    run = rehearse(1, {0: [Take(error=PlacementInDoubt(), after=60)]})
    run.play(scenario)
    assert (run.backend.looks, [attempt.state for attempt in run.attempts()]) == ([], ["dialing"])


class StandingStill(datetime):
    """This machine's clock, while it is asked until when something is awaited."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> StandingStill:
        return cls(2026, 5, 4, 12, tzinfo=tz)


def seconds_left(caller: Caller, what: Awaited) -> int | None:
    """How many seconds more this is awaited of any call at most."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(underway, "datetime", StandingStill)
        latest = caller.underway.latest(what)
    return None if latest is None else round((latest - StandingStill.now(latest.tzinfo)).total_seconds())


def awaited_after(run: Rehearsal, seconds: float, **how: object) -> dict[str, tuple[int, float | None]]:
    """Of how many calls what is awaited so many seconds after the beginning, and for how many seconds more at most."""
    found: dict[str, tuple[int, float | None]] = {}

    def ask(caller: Caller) -> None:
        for what in Awaited:
            found[what] = caller.underway.count(what), seconds_left(caller, what)

    stopped_after(run, seconds, ask, **how)
    return found


def test_it_is_known_until_when_those_on_the_line_are_settled_at_the_latest(rehearse: Rehearse) -> None:
    run = rehearse(2, {index: [Take(talk=30, analysis=50)] for index in range(2)})
    # The second was dialled at 7, five seconds before.
    assert awaited_after(run, 12, lines=2, start_interval=7.0) == {
        "end": (2, LATEST_END - 5),
        "analysis": (0, None),
        "word": (0, None),
    }


def test_it_is_known_until_when_an_analysis_is_awaited_at_the_latest(rehearse: Rehearse) -> None:
    run = rehearse(2, {0: [Take(talk=30, analysis=100)], 1: [Take(talk=35, analysis=100)]})
    assert awaited_after(run, 50) == {"end": (0, None), "analysis": (2, LATEST_ANALYSIS - 15), "word": (0, None)}


def test_it_is_known_until_when_a_call_that_is_not_known_is_asked_for_at_the_latest(rehearse: Rehearse) -> None:
    run = rehearse(1, {0: [Take(talk=1000, sightings=[180], verdict=Verdict.LOST)]})
    assert awaited_after(run, 200) == {
        "end": (0, None),
        "analysis": (0, None),
        "word": (1, LATEST_END + LAG - 200),
    }


def test_it_is_known_until_when_a_call_in_doubt_is_asked_for_that_nobody_answers_for(rehearse: Rehearse) -> None:
    run = rehearse(1, {0: [Take(error=PlacementInDoubt(), dials=False)]})
    run.backend.unreadable = True
    # From 120 on it is off the line.
    assert awaited_after(run, 100)["end"] == (1, LATEST_END - 100)
    assert awaited_after(run, 150)["word"] == (1, LONGEST_DOUBT - 30)


def test_what_is_said_of_a_call_in_doubt_that_nobody_answers_for_is_kept_though_every_look_hangs(
    rehearse: Rehearse,
) -> None:
    async def scenario(run: Rehearsal) -> tuple[float, float]:
        caller = await run.caller(lines=1)
        calling = asyncio.ensure_future(caller.call_all())
        run.backend.unreadable = True
        await asyncio.sleep(125)
        run.backend.unreadable, run.backend.looks_hang = False, True
        caller.drain()
        left = seconds_left(caller, Awaited.WORD)
        assert left is not None
        said = now() + left
        await calling
        return said, now()

    run = rehearse(1, {0: [Take(error=PlacementInDoubt(), dials=False)]})
    assert run.play(scenario) == (120 + LONGEST_DOUBT, 120 + LONGEST_DOUBT)
    assert [attempt.state for attempt in run.attempts()] == ["dialing"]


def test_at_the_end_of_a_run_nothing_is_awaited(rehearse: Rehearse) -> None:
    run = rehearse(3, {0: [Take(talk=400, sightings=[180, 300])], 1: [Take(error=PlacementInDoubt(), dials=False)]})
    caller = run.call_all()
    assert repr(caller.underway) == "<Underway 0 end, 0 analysis, 0 word>"


def test_a_call_that_is_not_known_is_hung_up_with_the_others_should_it_show_itself(rehearse: Rehearse) -> None:
    run = rehearse(2, {0: [Take(talk=300, sightings=[180])], 1: [Take(talk=300)]})
    stopped_after(run, 200, Caller.drain, lines=2, hang_up=True)
    assert (run.backend.hung_up, run.statuses()) == (["call-1", "call-2"], ["cancelled", "cancelled"])
