"""Lines: never more than there are, given back once, and as many as the backend has."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from concierge_calls.levels import LONGEST_QUIET, Levels
from concierge_calls.lines import Line, Lines
from tests.calling.fakes import VirtualLoop, now

T = TypeVar("T")


def test_never_are_more_lines_taken_than_there_are() -> None:
    async def scenario() -> list[int]:
        lines, busy = Lines(3), []

        async def call() -> None:
            line = await lines.take()
            busy.append(lines.busy)
            await asyncio.sleep(0)
            line.free()

        await asyncio.gather(*(call() for _ in range(20)))
        assert lines.busy == 0
        return busy

    busy = asyncio.run(scenario())
    assert (len(busy), max(busy)) == (20, 3)


def test_whoever_waits_gets_a_line_as_soon_as_one_is_given_back() -> None:
    async def scenario() -> None:
        lines = Lines(1)
        first = await lines.take()
        waiting = asyncio.ensure_future(lines.take())
        await asyncio.sleep(0)
        assert not waiting.done()
        first.free()
        await waiting
        assert lines.busy == 1

    asyncio.run(scenario())


def test_a_line_that_is_given_back_twice_counts_once() -> None:
    async def scenario() -> Lines:
        lines = Lines(2)
        first, _second = await lines.take(), await lines.take()
        first.free()
        first.free()
        return lines

    assert asyncio.run(scenario()).busy == 1


def test_who_stops_waiting_takes_no_line_from_who_waits_on() -> None:
    async def scenario() -> None:
        lines = Lines(1)
        first = await lines.take()
        impatient, patient = asyncio.ensure_future(lines.take()), asyncio.ensure_future(lines.take())
        await asyncio.sleep(0)
        first.free()
        impatient.cancel()
        await patient
        assert (lines.busy, impatient.cancelled()) == (1, True)

    asyncio.run(scenario())


def test_a_call_that_is_on_its_line_already_has_one_whether_or_not_one_is_free() -> None:
    lines = Lines(1)
    taken = [lines.occupy(), lines.occupy()]
    assert lines.busy == 2
    for line in taken:
        line.free()
    assert lines.busy == 0


# How many lines there turn out to be


def test_a_level_that_is_refused_opens_after_a_second_then_after_twice_as_long_up_to_two_minutes() -> None:
    levels, at, waits = Levels(), 0.0, []
    for _ in range(10):
        levels.refused(3, at)
        waits.append(levels.opens(3) - at)
        at = levels.opens(3)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 120, LONGEST_QUIET, LONGEST_QUIET]


def test_while_nobody_is_on_the_line_half_a_minute_is_the_longest_wait() -> None:
    levels, at, waits = Levels(), 0.0, []
    for _ in range(7):
        levels.refused(1, at)
        waits.append(levels.opens(1) - at)
        at = levels.opens(1)
    assert waits == [1, 2, 4, 8, 16, 30, 30]


def test_a_level_is_closed_with_all_above_and_those_below_stay_open() -> None:
    levels = Levels()
    levels.refused(3, 10.0)
    assert [levels.opens(level) for level in (1, 2, 3, 4, 5)] == [-math.inf, -math.inf, 11, 11, 11]
    assert [levels.is_probe(level) for level in (1, 2, 3, 4, 5)] == [False, False, True, True, True]


def test_calls_that_are_refused_together_are_one_refusal() -> None:
    levels = Levels()
    for _ in range(4):
        levels.refused(2, 10.0)
    assert levels.opens(2) == 11


def test_a_call_that_gets_its_line_opens_its_level_and_the_next_one_a_second_later() -> None:
    levels = Levels()
    levels.refused(3, 10.0)
    levels.served(2, 20.0)
    assert levels.is_probe(3)
    levels.served(3, 20.0)
    assert [(levels.is_probe(level), levels.opens(level)) for level in (3, 4)] == [(False, -math.inf), (True, 21)]


def test_what_is_known_of_a_higher_level_outlasts_a_surprise_below_it() -> None:
    levels, at = Levels(), 0.0
    for _ in range(8):
        levels.refused(5, at)
        at = levels.opens(5)
    levels.refused(4, at)
    levels.served(4, at + 1)
    levels.refused(5, at + 1)
    assert levels.opens(5) == at + 1 + LONGEST_QUIET


def test_where_nobody_was_refused_a_call_on_its_line_says_nothing_of_the_next() -> None:
    levels = Levels()
    levels.served(4, 20.0)
    assert not levels.is_probe(5)


def in_virtual_time(scenario: Callable[[], Coroutine[Any, Any, T]]) -> T:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(scenario())


async def dialled(lines: Lines) -> Line:
    line = await lines.take()
    assert line.dial()
    return line


def test_after_a_refusal_as_many_lines_are_used_as_others_have_and_one_more_is_tried_a_second_later() -> None:
    async def scenario() -> list[float]:
        lines, moments = Lines(5), []
        others = [await dialled(lines) for _ in range(2)]
        for line in others:
            line.served()
        for _ in range(4):
            probe = await dialled(lines)
            moments.append(now())
            probe.refused()
            probe.free()
        others[0].free()
        await dialled(lines)  # one that ends makes room at once
        return [*moments, now()]

    assert in_virtual_time(scenario) == [0, 1, 3, 7, 7]


def test_only_one_is_tried_at_a_time_and_when_it_has_its_line_the_next_one() -> None:
    async def scenario() -> list[float]:
        lines = Lines(5)
        (await dialled(lines)).served()
        burst = [await dialled(lines) for _ in range(4)]
        for line in burst:
            line.refused()
            line.free()
        moments = []
        for _ in range(4):
            probe = await dialled(lines)
            moments.append(now())
            asyncio.get_running_loop().call_later(5, probe.served)
        return moments

    assert in_virtual_time(scenario) == [1, 6, 11, 16]


def test_a_try_whose_reply_was_lost_is_not_what_the_others_wait_for() -> None:
    async def scenario() -> list[float]:
        lines = Lines(5)
        refused = await dialled(lines)
        refused.refused()
        refused.free()
        probe = await dialled(lines)
        asyncio.get_running_loop().call_later(3, probe.lost)
        moments = []
        for _ in range(3):
            line = await dialled(lines)
            moments.append(now())
            line.served()
        return moments

    # The one in doubt and the one that has its line open all but the third, which is tried a second later.
    assert in_virtual_time(scenario) == [4, 5, 6]


def test_a_line_that_was_taken_before_a_refusal_is_not_dialled_on_after_it() -> None:
    async def scenario() -> tuple[bool, bool]:
        lines = Lines(5)
        first, second, third = await dialled(lines), await dialled(lines), await lines.take()
        second.refused()
        before = third.dial()
        first.free()
        return before, third.dial()

    assert in_virtual_time(scenario) == (False, True)


def test_who_waits_at_the_backend_for_a_line_counts_against_our_own_limit_and_against_no_other() -> None:
    async def scenario() -> tuple[float, float]:
        lines = Lines(3)
        served = await dialled(lines)
        served.served()
        waiting = await dialled(lines)
        waiting.refused()
        served.free()
        await dialled(lines)
        at_once = now()
        await dialled(lines)
        a_second_later = now()
        assert lines.busy == 3
        return at_once, a_second_later

    assert in_virtual_time(scenario) == (0, 1)


def test_a_call_that_waited_and_then_rings_has_its_line_after_all() -> None:
    async def scenario() -> list[str]:
        lines = Lines(5)
        for _ in range(2):
            (await dialled(lines)).served()
        third = await dialled(lines)
        third.refused()
        before = repr(lines)
        third.served()
        return [before, repr(lines)]

    assert in_virtual_time(scenario) == [
        "<Lines 3 of 5 busy, <Levels refused: 3>>",
        "<Lines 3 of 5 busy, <Levels refused: 4>>",
    ]


def test_a_line_that_was_given_back_is_held_again_for_a_call_that_is_on_it() -> None:
    async def scenario() -> list[int]:
        lines = Lines(1)
        line = await dialled(lines)
        line.free()
        free = lines.busy
        line.hold()
        line.hold()
        return [free, lines.busy]

    assert in_virtual_time(scenario) == [0, 1]
