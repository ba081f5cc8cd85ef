"""A call in doubt that is dialled again on request is in doubt as before while that rings nobody."""

from __future__ import annotations

import asyncio

from concierge_calls.backend import Verdict
from concierge_calls.caller import Caller
from concierge_calls.errors import AccountRefused, ComeBackLater, NumberRefused, PlacementInDoubt
from concierge_calls.models import CallStatus, Reason
from tests.calling.fakes import Take, now
from tests.calling.rehearsal import Rehearsal, Rehearse

LOST = Take(error=PlacementInDoubt("The reply was lost.", "reply_lost"), dials=False)
WHY = Reason("reply_lost", "The reply was lost.")
NO_LINE = Take(error=ComeBackLater("No line.", "no_line"))


async def asked_to_dial_again(run: Rehearsal, lines: int = 5) -> Caller:
    """Call everybody, then take up the run as a process that was asked to dial the calls in doubt again."""
    await (await run.caller(lines=lines)).call_all()
    run.die()
    run.events.clear()
    caller = await run.caller(lines=lines)
    for attempt in await run.record.unfinished():
        run.record.dial_again(attempt)
    return caller


async def redialled(run: Rehearsal) -> None:
    """Call everybody, dial again who is in doubt, then take up the run once more as any resume does."""
    await (await asked_to_dial_again(run)).call_all()
    run.die()
    await (await run.caller()).call_all()


def in_doubt(run: Rehearsal) -> bool:
    [result] = run.results()
    return (result.status, result.error) == (CallStatus.UNCERTAIN, WHY)


def test_a_second_attempt_that_the_account_is_refused_leaves_the_call_in_doubt_and_no_resume_dials_it(
    rehearse: Rehearse,
) -> None:
    run = rehearse(1, {0: [LOST, Take(error=AccountRefused("No credit.", "credits"))]})
    run.play(redialled)

    assert (run.backend.order, in_doubt(run)) == ([0, 0], True)
    assert run.told(0) == ["dialing", "settled"]


def test_a_second_attempt_whose_number_is_refused_leaves_the_call_in_doubt(rehearse: Rehearse) -> None:
    run = rehearse(1, {0: [LOST, Take(error=NumberRefused("No such number.", "number_refused"))]})
    run.play(redialled)

    assert (run.backend.order, in_doubt(run)) == ([0, 0], True)
    assert [attempt.state for attempt in run.attempts()] == ["uncertain", "refused"]


def test_a_second_attempt_that_never_began_leaves_the_call_in_doubt_however_often_it_is_asked_for(
    rehearse: Rehearse,
) -> None:
    async def twice(run: Rehearsal) -> None:
        for _ in range(2):
            await redialled(run)
            run.die()

    failed = Take(verdict=Verdict.START_FAILED, status=CallStatus.ERROR)
    run = rehearse(1, {0: [LOST, failed, failed]})
    run.play(twice)

    assert (run.backend.order, in_doubt(run)) == ([0, 0, 0], True)


def test_a_second_attempt_waits_for_a_line_as_any_other_call(rehearse: Rehearse) -> None:
    run = rehearse(1, {0: [LOST, NO_LINE, NO_LINE, Take()]})
    run.play(redialled)

    assert run.backend.order == [0, 0, 0, 0]
    assert [result.status for result in run.results()] == [CallStatus.COMPLETED]


def test_a_second_attempt_that_waits_for_a_line_when_the_run_is_left_is_made_by_no_later_resume(
    rehearse: Rehearse,
) -> None:
    async def scenario(run: Rehearsal) -> None:
        caller = await asked_to_dial_again(run)
        run.observer = lambda event: caller.drain() if event.kind == "call.settled" else None
        await caller.call_all()
        run.die()
        await (await run.caller()).call_all()

    run = rehearse(1, {0: [LOST, NO_LINE]})
    run.play(scenario)

    assert (run.backend.order, in_doubt(run)) == ([0, 0], True)


def test_a_second_attempt_that_is_taken_back_after_its_process_died_leaves_the_call_in_doubt(
    rehearse: Rehearse,
) -> None:
    async def scenario(run: Rehearsal) -> None:
        caller = await asked_to_dial_again(run)
        calling = asyncio.ensure_future(caller.call_all())
        await asyncio.sleep(40)
        calling.cancel()
        await asyncio.wait([calling])
        run.die()
        await asyncio.sleep(100)
        await (await run.caller()).call_all()

    waiting = Take(verdict=Verdict.WITHDRAWN, talk=30, read_back=60, status=CallStatus.CANCELLED)
    run = rehearse(1, {0: [LOST, waiting]})
    run.play(scenario)

    assert (run.backend.order, in_doubt(run)) == ([0, 0], True)


def test_a_first_call_that_shows_itself_after_it_was_dialled_again_in_vain_is_followed(rehearse: Rehearse) -> None:
    first = Take(error=PlacementInDoubt("The reply was lost.", "reply_lost"), shown=1000.0, talk=1030.0)

    async def scenario(run: Rehearsal) -> None:
        await (await asked_to_dial_again(run)).call_all()
        run.die()
        await asyncio.sleep(1010 - now())
        await (await run.caller()).call_all()

    run = rehearse(1, {0: [first, Take(error=AccountRefused("No credit.", "credits"))]})
    run.play(scenario)

    [result] = run.results()
    assert (result.status, result.call_id, run.backend.order) == (CallStatus.COMPLETED, "call-1", [0, 0])
