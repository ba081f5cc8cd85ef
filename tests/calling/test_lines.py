"""Lines: never more than there are, given back once; and the pace at which they are dialled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from concierge_calls.lines import LONGEST_HOLD_OFF, Lines, Pace


class Watch:
    """A stop-watch that only runs while somebody sleeps by it."""

    def __init__(self) -> None:
        self.time = 100.0

    async def sleep(self, seconds: float) -> None:
        self.time += seconds

    def passed(self, wait: Callable[[], object]) -> float:
        before = self.time
        asyncio.run(wait())  # type: ignore[arg-type]
        return round(self.time - before, 6)


@pytest.fixture
def watch() -> Watch:
    return Watch()


def paced(watch: Watch, interval: float = 0.0) -> Pace:
    return Pace(interval, sleep=watch.sleep, monotonic=lambda: watch.time)


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


def test_two_dials_are_an_interval_apart(watch: Watch) -> None:
    pace = paced(watch, 1.5)
    assert watch.passed(pace.wait) == 0
    pace.dialled()
    watch.time += 0.4
    assert watch.passed(pace.wait) == 1.1
    pace.dialled()
    assert watch.passed(pace.wait) == 1.5


def test_an_interval_that_is_over_is_not_waited_for(watch: Watch) -> None:
    pace = paced(watch, 1.0)
    pace.dialled()
    watch.time += 5
    assert watch.passed(pace.wait) == 0


def test_each_failure_in_a_row_waits_twice_as_long_up_to_half_a_minute(watch: Watch) -> None:
    pace, waits = paced(watch), []
    for _ in range(8):
        pace.hold_off(None)
        waits.append(watch.passed(pace.wait))
    assert waits == [1, 2, 4, 8, 16, LONGEST_HOLD_OFF, LONGEST_HOLD_OFF, LONGEST_HOLD_OFF]


def test_requests_that_failed_together_are_one_failure(watch: Watch) -> None:
    pace = paced(watch)
    for _ in range(5):
        pace.hold_off(None)
    assert watch.passed(pace.wait) == 1


def test_after_a_success_failures_are_counted_anew(watch: Watch) -> None:
    pace = paced(watch)
    for _ in range(4):
        pace.hold_off(None)
    watch.passed(pace.wait)
    pace.succeeded()
    pace.hold_off(None)
    assert watch.passed(pace.wait) == 1


def test_a_wait_that_was_asked_for_is_kept_however_long_or_short(watch: Watch) -> None:
    pace = paced(watch)
    pace.hold_off(90.0)
    assert watch.passed(pace.wait) == 90
    pace.hold_off(0.25)
    assert watch.passed(pace.wait) == 0.25


def test_a_shorter_wait_never_cuts_a_longer_one_short(watch: Watch) -> None:
    pace = paced(watch, 1.0)
    pace.hold_off(60.0)
    pace.hold_off(None)
    pace.dialled()
    assert watch.passed(pace.wait) == 60


def test_a_wait_that_grows_meanwhile_is_waited_to_its_end(watch: Watch) -> None:
    pace = paced(watch)

    async def sleep(seconds: float) -> None:
        if watch.time == 100.0:
            pace.hold_off(7.0)  # another call fails while this one waits
        await Watch.sleep(watch, seconds)

    pace = Pace(0.0, sleep=sleep, monotonic=lambda: watch.time)
    pace.hold_off(5.0)
    assert watch.passed(pace.wait) == 7


def test_it_is_known_since_when_dialling_fails(watch: Watch) -> None:
    pace = paced(watch)
    assert pace.failing_for == 0
    pace.hold_off(None)
    watch.time += 40
    pace.hold_off(None)
    watch.time += 2
    assert pace.failing_for == 40
    pace.succeeded()
    assert pace.failing_for == 0


def test_a_call_that_was_placed_but_got_no_line_shows_that_somebody_is_there_and_the_waits_go_on_growing(
    watch: Watch,
) -> None:
    pace, waits = paced(watch), []
    for _ in range(4):
        pace.hold_off(None)
        waits.append(watch.passed(pace.wait))
        pace.placed()
        assert pace.failing_for == 0
    assert waits == [1, 2, 4, 8]


def test_a_line_of_ours_that_is_given_back_lifts_a_wait_for_lines(watch: Watch) -> None:
    pace, waits = paced(watch), []
    for _ in range(5):
        pace.hold_off(None, lacks_line=True)
        waits.append(pace.left)
        watch.time += 0.25
        pace.line_freed()
        assert pace.left == 0
    assert waits == [1, 2, 4, 8, 16]


def test_whoever_waits_for_a_line_goes_on_as_soon_as_one_is_given_back() -> None:
    async def scenario() -> None:
        forever = asyncio.Event()
        pace = Pace(0.0, sleep=lambda _: forever.wait(), monotonic=lambda: 100.0)
        pace.hold_off(None, lacks_line=True)
        waiting = asyncio.ensure_future(pace.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        pace.line_freed()
        await waiting

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("retry_after", "lacks_line", "left"),
    [(None, False, 1.0), (40.0, False, 40.0), (40.0, True, 40.0)],
    ids=["nobody there", "rate limit", "asked for, though for lack of lines"],
)
def test_no_line_of_ours_lifts_a_wait_for_anything_else(
    watch: Watch, retry_after: float | None, lacks_line: bool, left: float
) -> None:
    pace = paced(watch)
    pace.hold_off(retry_after, lacks_line=lacks_line)
    pace.line_freed()
    assert pace.left == left


@pytest.mark.parametrize("order", [(True, False), (False, True)], ids=["line first", "rate limit first"])
def test_no_line_of_ours_lifts_a_wait_that_was_asked_for_while_lines_were_lacking(
    watch: Watch, order: tuple[bool, bool]
) -> None:
    pace = paced(watch)
    for lacks_line in order:
        pace.hold_off(None if lacks_line else 40.0, lacks_line=lacks_line)
    pace.line_freed()
    assert pace.left == 40


def test_a_line_that_is_given_back_does_not_shorten_the_interval_between_two_dials(watch: Watch) -> None:
    pace = paced(watch, 1.0)
    pace.dialled()
    watch.time += 0.25
    pace.hold_off(None, lacks_line=True)
    pace.line_freed()
    assert pace.left == 0.75


def test_one_long_wait_that_was_asked_for_is_no_long_failing(watch: Watch) -> None:
    pace = paced(watch)
    pace.hold_off(3600.0)
    assert watch.passed(pace.wait) == 3600
    assert pace.failing_for == 0
    pace.hold_off(None)
    assert pace.failing_for == 3600
