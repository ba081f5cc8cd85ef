"""A number that a dead run may have on the line waits for a look at Vapi, and nobody else waits with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from concierge_calls.claiming import LONGEST_WAIT, LOOK_AGAIN
from concierge_calls.errors import ReadFailed
from tests.calling.fakes import Take, now
from tests.calling.rehearsal import Rehearsal, Rehearse


class Dead:
    """A run that is dead, and the looks that are taken at it: each takes so many seconds, and the first are in vain."""

    def __init__(
        self, run: Rehearsal, rows: Sequence[int], *, takes: float = 5.0, over: bool = True, in_vain: int = 0
    ) -> None:
        self.looks: list[float] = []
        self.id = ""
        self._run = run
        self._rows = rows
        self._takes = takes
        self._over = over
        self._in_vain = in_vain
        run.look = self._look

    async def _look(self, run_id: str) -> None:
        assert run_id == self.id
        self.looks.append(now())
        await asyncio.sleep(self._takes)
        if len(self.looks) <= self._in_vain:
            raise ReadFailed(f"Nobody knows whether the calls of run {run_id} are over.")
        if self._over:
            await self._run.note_that_it_is_over(run_id)

    def calling(self, lines: int = 1) -> Callable[[Rehearsal], Awaitable[float]]:
        """Have the run call everybody beside the dead one; returns when it is done."""

        async def scenario(run: Rehearsal) -> float:
            self.id = await run.leave_dead_run(self._rows)
            caller = await run.caller(lines=lines)
            await caller.call_all()
            return now()

        return scenario


def test_others_are_dialled_while_a_run_is_looked_at_and_the_row_has_its_turn_afterwards(rehearse: Rehearse) -> None:
    run = rehearse(3)
    dead = Dead(run, [0])
    run.play(dead.calling())

    assert list(zip(run.backend.order, run.backend.starts, strict=True)) == [(1, 0), (0, 10), (2, 20)]
    assert (dead.looks, run.statuses()) == ([0], ["completed"] * 3)


def test_a_run_does_not_end_while_a_look_is_under_way(rehearse: Rehearse) -> None:
    run = rehearse(1)
    dead = Dead(run, [0])
    finished = run.play(dead.calling(lines=5))
    assert (run.backend.starts, finished, run.statuses()) == ([5], 15, ["completed"])


def test_a_call_that_goes_on_has_its_number_skipped_after_the_look(rehearse: Rehearse) -> None:
    run = rehearse(2)
    dead = Dead(run, [0], over=False)
    finished = run.play(dead.calling(lines=5))

    assert (run.statuses(), run.backend.order, dead.looks, finished) == (["skipped", "completed"], [1], [0], 10)
    assert run.told(0) == ["skipped"]
    error = run.results()[0].error
    assert error is not None
    assert (error.code, dead.id in error.message) == ("on_the_line", True)


def test_several_numbers_of_one_dead_run_are_one_look(rehearse: Rehearse) -> None:
    run = rehearse(4)
    dead = Dead(run, [0, 1, 3], over=False)
    run.play(dead.calling())
    assert (run.statuses(), dead.looks) == (["skipped", "skipped", "completed", "skipped"], [0])


def test_a_word_that_is_a_minute_old_is_asked_for_again(rehearse: Rehearse) -> None:
    run = rehearse(2, {1: [Take(talk=100)]})
    dead = Dead(run, [0], over=False)
    finished = run.play(dead.calling())
    assert (run.statuses(), dead.looks, finished) == (["skipped", "completed"], [0, 100], 105)


def test_a_free_line_is_dialled_on_as_soon_as_the_look_is_over(rehearse: Rehearse) -> None:
    run = rehearse(3, {1: [Take(talk=300)]})
    dead = Dead(run, [0, 2], takes=7.0)
    run.play(dead.calling(lines=2))
    assert list(zip(run.backend.order, run.backend.starts, strict=True)) == [(1, 0), (0, 7), (2, 17)]


def test_a_look_in_vain_is_taken_again_until_it_is_answered_while_the_others_are_dialled(
    rehearse: Rehearse, caplog: pytest.LogCaptureFixture
) -> None:
    run = rehearse(3)
    dead = Dead(run, [0], in_vain=3)
    run.play(dead.calling())

    assert dead.looks == [0, 10, 20, 30]
    assert list(zip(run.backend.order, run.backend.starts, strict=True)) == [(1, 0), (2, 10), (0, 35)]
    assert run.statuses() == ["completed"] * 3
    assert caplog.messages == [
        f"Nobody knows whether the calls of run {dead.id} are over."
        " Whoever it may have on the line waits until that is known, at the longest for 5 minutes."
    ]


def test_a_number_is_skipped_once_its_run_was_looked_at_in_vain_for_five_minutes(rehearse: Rehearse) -> None:
    run = rehearse(2)
    dead = Dead(run, [0], takes=0.0, in_vain=1000)
    finished = run.play(dead.calling())

    assert (run.statuses(), run.backend.order, finished) == (["skipped", "completed"], [1], LONGEST_WAIT)
    assert dead.looks == [LOOK_AGAIN * number for number in range(61)]


@pytest.mark.parametrize("in_vain", [0, 1000])
@pytest.mark.parametrize("how", ["drain", "leave"])
def test_who_is_told_to_stop_waits_for_no_look(rehearse: Rehearse, how: str, in_vain: int) -> None:
    run = rehearse(1)
    dead = Dead(run, [0], takes=0.0 if in_vain else 100.0, in_vain=in_vain)

    async def scenario(run: Rehearsal) -> tuple[float, bool]:
        dead.id = await run.leave_dead_run([0])
        caller = await run.caller()
        calling = asyncio.ensure_future(caller.call_all())
        await asyncio.sleep(3)
        if how == "drain":
            caller.drain()
        else:
            await caller.leave()
        await calling
        return now(), caller.interrupted

    assert run.play(scenario) == (3, True)
    assert (run.statuses(), run.backend.sent, dead.looks) == (["pending"], [], [0])


def test_whoever_is_handed_no_look_believes_the_journal(rehearse: Rehearse) -> None:
    run = rehearse(2)
    dead = Dead(run, [0])
    run.look = None
    finished = run.play(dead.calling())
    assert (run.statuses(), dead.looks, finished) == (["skipped", "completed"], [], 10)


def test_a_look_that_raises_ends_the_run_with_its_bug(rehearse: Rehearse) -> None:
    run = rehearse(1)
    dead = Dead(run, [0])

    async def broken(run_id: str) -> None:
        raise ZeroDivisionError

    run.look = broken
    with pytest.raises(BaseExceptionGroup) as raised:
        run.play(dead.calling())
    assert raised.group_contains(ZeroDivisionError)
