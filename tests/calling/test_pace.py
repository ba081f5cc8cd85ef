"""The pace of the dialling: dials an interval apart, later while dialling fails or whoever places calls says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from concierge_calls.pace import LONGEST_ASKED, LONGEST_HOLD_OFF, Pace
from tests.calling.fakes import VirtualLoop, now


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


@pytest.mark.parametrize(("leaves", "waited"), [(False, 3), (True, 8)])
def test_whoever_waits_while_another_may_be_about_to_dial_goes_as_soon_as_that_is_decided(
    leaves: bool, waited: float
) -> None:
    async def scenario() -> float:
        pace = Pace(5.0, sleep=asyncio.sleep, monotonic=asyncio.get_running_loop().time)
        take_back = pace.reserve()
        waiting = asyncio.ensure_future(pace.wait())
        await asyncio.sleep(3)
        if leaves:
            pace.dialled()
        else:
            take_back()
        await waiting
        return now()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(scenario()) == waited


def test_each_failure_in_a_row_waits_twice_as_long_up_to_half_a_minute(watch: Watch) -> None:
    pace, waits = paced(watch), []
    for _ in range(8):
        pace.failed()
        waits.append(watch.passed(pace.wait))
    assert waits == [1, 2, 4, 8, 16, LONGEST_HOLD_OFF, LONGEST_HOLD_OFF, LONGEST_HOLD_OFF]


def test_requests_that_failed_together_are_one_failure(watch: Watch) -> None:
    pace = paced(watch)
    for _ in range(5):
        pace.failed()
    assert watch.passed(pace.wait) == 1


def test_after_an_answer_failures_are_counted_anew(watch: Watch) -> None:
    pace = paced(watch)
    for _ in range(4):
        pace.failed()
    watch.passed(pace.wait)
    pace.answered()
    pace.failed()
    assert watch.passed(pace.wait) == 1


def test_a_wait_that_was_asked_for_is_kept_up_to_a_minute_however_short(watch: Watch) -> None:
    pace = paced(watch)
    pace.hold_off(3600.0)
    assert watch.passed(pace.wait) == LONGEST_ASKED
    pace.hold_off(0.25)
    assert watch.passed(pace.wait) == 0.25


def test_a_shorter_wait_never_cuts_a_longer_one_short(watch: Watch) -> None:
    pace = paced(watch, 1.0)
    pace.hold_off(60.0)
    pace.failed()
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
    assert pace.failing_for(0.0) == 0
    pace.failed()
    watch.time += 40
    pace.failed()
    watch.time += 2
    assert (pace.failing_for(0.0), pace.failing_for(115.0), pace.failing_for(141.0)) == (40, 25, 0)
    pace.answered()
    assert pace.failing_for(0.0) == 0


def test_a_wait_that_was_asked_for_is_no_failing_however_long(watch: Watch) -> None:
    pace = paced(watch)
    for _ in range(2):
        pace.hold_off(3600.0)
        assert watch.passed(pace.wait) == LONGEST_ASKED
    assert pace.failing_for(0.0) == 0
