"""A second process takes up what a first one left, and never dials again whom that one may have dialled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime

import pytest

from concierge_calls.backend import Placed, Verdict
from concierge_calls.dialer import LOOK_AHEAD, LOOK_BACK
from concierge_calls.errors import BackendUnreachable, PlacementInDoubt, PlacementInterrupted, ReadFailed
from concierge_calls.looking import look_for
from concierge_calls.models import AnalysisStatus, CallEvent, CallState, CallStatus
from tests.calling.fakes import Take, moment, now
from tests.calling.rehearsal import Rehearsal, Rehearse, killed

LOST = PlacementInDoubt("The reply was lost.", "reply_lost")


def resumed_after(seconds: float, *, away: float = 0.0, lines: int = 5) -> Callable[[Rehearsal], Awaitable[float]]:
    """Have the run killed, and taken up by another process later; returns when that one is done."""

    async def scenario(run: Rehearsal) -> float:
        await killed(run, seconds, lines)
        await asyncio.sleep(away)
        caller = await run.caller(lines=lines)
        await caller.call_all()
        assert (caller.on_the_line, caller.interrupted) == (0, False)
        return now()

    return scenario


def test_calls_that_go_on_are_followed_to_their_end_and_the_rest_is_dialled(rehearse: Rehearse) -> None:
    run = rehearse(4, {index: [Take(talk=40)] for index in range(4)})
    run.play(resumed_after(10, away=5, lines=2))

    assert run.statuses() == ["completed"] * 4
    assert run.backend.order == [0, 1, 2, 3]
    assert run.backend.starts == [0, 0, 40, 40]
    assert (run.backend.peak, run.peak()) == (2, 2)


def test_calls_that_ended_meanwhile_are_settled_from_what_the_backend_knows(rehearse: Rehearse) -> None:
    run = rehearse(2, {0: [Take(talk=40, status=CallStatus.VOICEMAIL)], 1: [Take(talk=50)]})
    run.play(resumed_after(10, away=500))

    assert run.statuses() == ["voicemail", "completed"]
    assert run.told(0) == ["ended", "settled"]
    assert len(run.backend.sent) == 2


def test_a_call_that_had_ended_is_asked_for_its_analysis_and_not_told_to_end_again(rehearse: Rehearse) -> None:
    run = rehearse(1, {0: [Take(talk=10, analysis=90)]})
    finished = run.play(resumed_after(30, away=5))

    assert (run.told(0), run.statuses(), finished) == (["settled"], ["completed"], 100)
    assert len(run.backend.sent) == 1


def test_a_call_whose_reply_never_came_is_found_by_its_key_and_followed(rehearse: Rehearse) -> None:
    run = rehearse(1, {0: [Take(after=None, talk=60)]})
    run.play(resumed_after(10))

    assert run.statuses() == ["completed"]
    assert run.told(0) == ["placed", "ringing", "in_progress", "ended", "settled"]
    assert (len(run.backend.sent), run.backend.looks) == (1, [(10, frozenset({run.backend.sent[0].key}))])


def test_a_call_whose_reply_never_came_and_that_is_not_found_is_uncertain_and_never_placed_again(
    rehearse: Rehearse,
) -> None:
    run = rehearse(2, {0: [Take(error=LOST, after=60, dials=False)], 1: [Take(talk=5)]})
    finished = run.play(resumed_after(10))

    assert run.statuses() == ["uncertain", "completed"]
    error = run.results()[0].error
    assert error is not None
    assert (error.code, error.message) == ("interrupted", PlacementInterrupted().message)
    assert run.backend.order == [0, 1]
    # What was over before the first look is counted from the request, and one look follows at the end.
    assert [at for at, _ in run.backend.looks] == [10, 30, 60, 120, 120]
    assert finished == 120


def test_a_call_in_doubt_holds_a_line_of_the_second_process_too(rehearse: Rehearse) -> None:
    run = rehearse(2, {0: [Take(error=LOST, after=60, dials=False)]})
    run.play(resumed_after(10, lines=1))
    assert run.backend.starts == [0, 120]


def test_a_call_in_doubt_since_hours_costs_one_look_and_no_line(rehearse: Rehearse) -> None:
    run = rehearse(3, {0: [Take(error=LOST, after=None, dials=False)]})
    hours = 10 * 3600.0
    run.play(resumed_after(5, away=hours, lines=1))

    assert [start - hours for start in run.backend.starts[1:]] == [5, 15]
    assert [at - hours for at, _ in run.backend.looks] == [5, 25]
    assert run.statuses() == ["uncertain", "completed", "completed"]


def test_a_call_in_doubt_since_hours_that_is_found_in_the_end_is_followed(rehearse: Rehearse) -> None:
    async def scenario(run: Rehearsal) -> None:
        await killed(run, 5, 1)
        await asyncio.sleep(10 * 3600)
        run.backend.unreadable = True
        asyncio.get_running_loop().call_later(100, setattr, run.backend, "unreadable", False)
        await (await run.caller(lines=1)).call_all()

    run = rehearse(1, {0: [Take(error=LOST, after=None)]})
    run.play(scenario)

    assert [at - 36005 for at, _ in run.backend.looks] == [0, 30, 60, 90, 120]
    assert (run.statuses(), run.told(0)) == (["completed"], ["placed", "ended", "settled"])


def slowly_looked_for(run: Rehearsal, seconds: float) -> None:
    """Have every look fail after so many seconds."""

    async def find(keys: Collection[str], since: datetime, until: datetime | None = None) -> Mapping[str, Placed]:
        await asyncio.sleep(seconds)
        raise ReadFailed

    run.backend.find = find  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("lines", "away", "start"),
    [(5, 0, 125), (2, 0, 185), (1, 1000, 1125)],
    ids=["a line is free", "the one in doubt may have it", "no longer"],
)
def test_while_calls_in_doubt_are_looked_for_the_others_are_followed_and_dialled_on_lines_that_are_certainly_free(
    rehearse: Rehearse, lines: int, away: float, start: float
) -> None:
    async def scenario(run: Rehearsal) -> int:
        await killed(run, 125, 2)  # the first is uncertain, the second and the third on the line
        await asyncio.sleep(away)
        slowly_looked_for(run, 60)
        calling = asyncio.ensure_future((await run.caller(lines=lines)).call_all())
        await asyncio.sleep(1)
        followed = run.backend.followed["call-1"]
        await calling
        return followed

    run = rehearse(4, {0: [Take(error=LOST, dials=False)], 1: [Take(talk=1000)]})
    assert run.play(scenario) == 2
    assert (run.backend.starts, run.statuses()) == ([0, 0, 120, start], ["uncertain"] + ["completed"] * 3)


def test_a_look_asks_for_no_calls_since_the_last_of_those_in_doubt(rehearse: Rehearse) -> None:
    asked: list[tuple[datetime, datetime | None]] = []

    async def scenario(run: Rehearsal) -> None:
        await killed(run, 5)
        await asyncio.sleep(10 * 24 * 3600)
        find = run.backend.find

        async def look(keys: Collection[str], since: datetime, until: datetime | None = None) -> Mapping[str, Placed]:
            asked.append((since, until))
            return await find(keys, since, until)

        run.backend.find = look  # type: ignore[method-assign]
        await (await run.caller()).call_all()

    run = rehearse(2, {index: [Take(error=LOST, after=None, talk=20)] for index in range(2)})
    run.play(scenario)
    assert asked == [(moment(0) - LOOK_BACK, moment(0) + LOOK_AHEAD)]
    assert run.statuses() == ["completed", "completed"]


def test_an_uncertain_call_is_looked_for_again_and_adopted_when_it_is_there(rehearse: Rehearse) -> None:
    run = rehearse(2, {0: [Take(error=LOST, shown=900, talk=20)], 1: [Take(talk=1000)]})
    run.play(resumed_after(200, away=800))

    assert run.statuses() == ["completed", "completed"]
    assert run.told(0) == ["placed", "ended", "settled"]
    assert len(run.backend.sent) == 2


def test_an_uncertain_call_that_is_not_there_stays_uncertain_without_being_told_again(rehearse: Rehearse) -> None:
    run = rehearse(2, {0: [Take(error=LOST, dials=False)], 1: [Take(talk=300)]})
    run.play(resumed_after(200))

    assert run.statuses() == ["uncertain", "completed"]
    assert (run.told(0), run.backend.order) == ([], [0, 1])
    key = frozenset({run.backend.sent[0].key})
    assert run.backend.looks == [(200, key), (300, key)]


def test_rows_that_are_done_are_left_alone(rehearse: Rehearse) -> None:
    async def scenario(run: Rehearsal) -> None:
        for _ in range(2):
            await (await run.caller()).call_all()
            run.die()

    run = rehearse(3)
    run.play(scenario)
    assert (run.backend.order, sum(run.backend.followed.values())) == ([0, 1, 2], 3)


def test_lines_that_an_earlier_process_uses_are_not_dialled_on(rehearse: Rehearse) -> None:
    run = rehearse(6, {index: [Take(talk=20 + index)] for index in range(6)})
    run.play(resumed_after(10, lines=3))
    assert run.backend.starts == [0, 0, 0, 20, 21, 22]
    assert (run.backend.peak, run.statuses()) == (3, ["completed"] * 6)


def test_a_run_killed_at_any_moment_is_finished_with_nobody_called_twice(rehearse: Rehearse) -> None:
    for seconds in (0, 0.5, 4, 9.5, 10, 12.5, 20.5):
        takes = {index: [Take(after=1, talk=10 + index, analysis=3)] for index in range(5)}
        run = rehearse(5, takes)
        run.play(resumed_after(seconds, lines=2))
        assert (run.statuses(), run.backend.order) == (["completed"] * 5, list(range(5)))


def test_a_call_that_the_backend_has_forgotten_since_it_ended_is_settled_from_what_was_kept(rehearse: Rehearse) -> None:
    async def scenario(run: Rehearsal) -> None:
        await killed(run, 30)
        forgotten = run.backend.calls["call-1"]
        forgotten.take = replace(forgotten.take, verdict=Verdict.LOST, shown=10**6)
        await (await run.caller()).call_all()

    run = rehearse(1, {0: [Take(talk=10, analysis=900, status=CallStatus.VOICEMAIL)]})
    run.play(scenario)

    [result] = run.results()
    assert (result.status, result.duration, result.transcript) == (CallStatus.VOICEMAIL, 10, "What was said in call-1.")
    assert (result.call_id, result.ended_reason, result.error) == ("call-1", "over", None)
    assert result.analysis.status is AnalysisStatus.MISSING
    assert (run.told(0), run.errors, run.backend.order) == (["settled"], [], [0])
    assert [attempt.state for attempt in run.attempts()] == ["settled"]


def test_a_call_that_had_ended_holds_no_line_while_its_analysis_is_awaited(rehearse: Rehearse) -> None:
    async def scenario(run: Rehearsal) -> list[int]:
        first = await run.caller(lines=1)
        calling = asyncio.ensure_future(first.call_all())
        await asyncio.sleep(5)
        first.drain()
        await asyncio.sleep(25)
        await first.leave()
        await calling
        run.die()
        run.backend.tells_after = 4.0
        second, busy = await run.caller(lines=1), []
        calling = asyncio.ensure_future(second.call_all())
        for _ in range(2):
            await asyncio.sleep(5)
            busy.append(second.on_the_line)
        await calling
        return busy

    run = rehearse(2, {0: [Take(talk=10, analysis=500)], 1: [Take(talk=7)]})
    assert run.play(scenario) == [1, 0]
    assert list(zip(run.backend.order, run.backend.starts, strict=True)) == [(0, 0), (1, 30)]
    assert (run.statuses(), run.peak()) == (["completed"] * 2, 1)


def test_a_start_that_failed_under_one_process_and_again_under_the_next_is_an_error(rehearse: Rehearse) -> None:
    failed = Take(verdict=Verdict.START_FAILED, talk=3, status=CallStatus.ERROR)
    for seconds in (3, 4):  # before and after the second request has left
        run = rehearse(2, {0: [failed, replace(failed, after=0.5, talk=20)], 1: [Take(talk=2)]})
        run.play(resumed_after(seconds))

        assert run.statuses() == ["error", "completed"]
        assert [sent.row for sent in run.backend.sent if sent.row == 0] == [0, 0]
        assert [(attempt.row, attempt.state) for attempt in run.attempts()] == [
            (0, "void"),
            (0, "settled"),
            (1, "settled"),
        ]


@pytest.mark.parametrize("verdict", [each for each in Verdict if each not in (Verdict.FINAL, Verdict.LOST)])
def test_what_rang_under_an_earlier_process_is_never_placed_again_whatever_its_end(
    rehearse: Rehearse, verdict: Verdict
) -> None:
    async def scenario(run: Rehearsal) -> None:
        await killed(run, 10)
        rang = run.backend.calls["call-1"]
        rang.take = replace(rang.take, verdict=verdict, status=CallStatus.ERROR)
        caller = await run.caller()
        await caller.call_all()
        assert caller.stopped is None

    run = rehearse(1, {0: [Take(talk=40)]})
    run.play(scenario)
    assert (run.statuses(), run.backend.order) == (["error"], [0])


def test_what_rang_before_it_was_lost_and_found_is_never_placed_again_whatever_its_end(rehearse: Rehearse) -> None:
    def found(event: CallEvent) -> None:
        if event.kind == "call.settled" and now() == 40:  # from now on the backend knows it again
            lost = run.backend.calls["call-1"]
            lost.take = replace(lost.take, verdict=Verdict.START_FAILED, status=CallStatus.ERROR)

    run = rehearse(1, {0: [Take(verdict=Verdict.LOST, talk=40)]})
    run.observer = found
    run.call_all()
    assert (run.statuses(), run.backend.order) == (["error"], [0])


def test_a_call_in_doubt_is_dialled_again_on_request_unless_one_look_shows_it(rehearse: Rehearse) -> None:
    async def scenario(run: Rehearsal) -> None:
        await killed(run, 200)
        caller = await run.caller()
        record = run.record
        in_doubt = [attempt for attempt in await record.unfinished() if attempt.state is CallState.UNCERTAIN]
        adopted = await look_for(record, in_doubt, run.backend)
        assert [(attempt.index, placed.call_id) for _, attempt, placed in adopted] == [(0, "call-1")]
        await caller.call_all()

    takes = {0: [Take(error=LOST, shown=150)], 1: [Take(error=LOST, dials=False), Take()], 2: [Take(talk=1000)]}
    run = rehearse(3, takes)
    run.play(scenario)

    assert (run.statuses(), run.backend.order) == (["completed"] * 3, [0, 1, 2, 1])
    assert [attempt.key.removeprefix(run.run_id) for attempt in run.attempts()] == ["-0-1", "-1-1", "-1-2", "-2-1"]


def test_nobody_is_dialled_again_when_the_look_fails(rehearse: Rehearse) -> None:
    async def scenario(run: Rehearsal) -> None:
        await killed(run, 200)
        caller = await run.caller()
        in_doubt = [attempt for attempt in await run.record.unfinished() if attempt.state is CallState.UNCERTAIN]
        run.backend.unreadable = True
        with pytest.raises(BackendUnreachable, match="so nobody was dialled"):
            await look_for(run.record, in_doubt, run.backend)
        await caller.call_all()

    run = rehearse(2, {0: [Take(error=LOST, dials=False)], 1: [Take(talk=1000)]})
    run.play(scenario)

    assert (run.statuses(), run.backend.order) == (["uncertain", "completed"], [0, 1])
