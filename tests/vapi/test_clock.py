"""Vapi's clock: set by the Date of its replies, carried on by monotonic time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from concierge_calls.vapi.clock import VapiClock


class Monotonic:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_until_a_date_came_the_clock_is_this_machines() -> None:
    clock = VapiClock(monotonic=lambda: 5.0, wall=lambda: 1_800_000_000.0)
    assert clock.now() == datetime.fromtimestamp(1_800_000_000, UTC)
    assert repr(clock) == "<VapiClock 2027-01-15 08:00:00Z>"


def test_the_clock_is_set_by_the_latest_date_and_goes_on_by_itself() -> None:
    monotonic = Monotonic()
    clock = VapiClock(monotonic=monotonic, wall=lambda: 0.0)
    clock.learn("Sat, 14 Mar 2026 10:00:00 GMT")
    monotonic.now += 2.5
    assert clock.now() == datetime(2026, 3, 14, 10, 0, 2, 500_000, UTC)
    clock.learn("Sat, 14 Mar 2026 09:00:00 GMT")
    assert clock.now() == datetime(2026, 3, 14, 9, tzinfo=UTC)


def test_a_date_is_a_whole_second_and_does_not_set_the_clock_back_within_it() -> None:
    monotonic = Monotonic()
    clock = VapiClock(monotonic=monotonic)
    clock.learn("Sat, 14 Mar 2026 10:00:00 GMT")
    monotonic.now += 0.9
    clock.learn("Sat, 14 Mar 2026 10:00:00 GMT")
    assert clock.now() == datetime(2026, 3, 14, 10, 0, 0, 900_000, UTC)


@pytest.mark.parametrize("date", [None, "", "soon", "Sat, 99 Mar 2026 10:00:00 GMT", "\x00"])
def test_a_date_that_cannot_be_read_teaches_nothing(date: str | None) -> None:
    clock = VapiClock(monotonic=lambda: 5.0, wall=lambda: 1_800_000_000.0)
    clock.learn(date)
    assert clock.seconds() == 1_800_000_000.0
