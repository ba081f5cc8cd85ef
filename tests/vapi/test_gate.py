"""The gate: how many requests at once, how many a UTC minute, who goes first, and that nothing is lost on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concierge_calls.vapi.gate import Gate, Priority, Ticket


class Time:
    """A clock that stands still until it is told to go on; it begins at the turn of a minute."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self._sleeping: list[tuple[float, asyncio.Future[None]]] = []
        self.sleeps = 0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.sleeps += 1
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (self.now + seconds, woken)
        self._sleeping.append(entry)
        try:
            await woken
        finally:
            self._sleeping.remove(entry)

    async def pass_by(self, seconds: float) -> None:
        """Let time go on, waking whoever is due on the way."""
        end = self.now + seconds
        await settle()
        while due := [entry for entry in self._sleeping if entry[0] <= end and not entry[1].done()]:
            at, woken = min(due, key=lambda entry: entry[0])
            self.now = max(self.now, at)
            woken.set_result(None)
            await settle()
        self.now = end

    @property
    def sleepers(self) -> int:
        return len(self._sleeping)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class Queue:
    """Requests that wait at a gate, and the order in which they passed."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.passed: list[str] = []
        self.tickets: dict[str, Ticket] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, *requests: tuple[str, Priority]) -> None:
        for name, priority in requests:
            self.tasks[name] = asyncio.create_task(self._wait(name, priority))
            await asyncio.sleep(0)
        await settle()

    async def ask_many(self, priority: Priority, count: int) -> None:
        await self.ask(*((f"{priority.name.lower()} {n}", priority) for n in range(count)))

    async def leave(self, *names: str) -> None:
        for name in names:
            self.tickets.pop(name).release()
        await settle()

    async def leave_all(self) -> None:
        await self.leave(*list(self.tickets))

    async def leave_until_nobody_passes(self) -> None:
        await settle()
        while self.tickets:
            await self.leave_all()

    def count(self, word: str) -> int:
        return sum(name.startswith(word) for name in self.passed)

    async def _wait(self, name: str, priority: Priority) -> None:
        self.tickets[name] = await self.gate.enter(priority)
        self.passed.append(name)

    async def close(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


def at_a_gate(story: Callable[[Queue, Time], Awaitable[None]], limit: int = 150, in_flight: int = 4) -> None:
    """Play a story at a new gate; at its end nobody is left sleeping."""

    async def play() -> None:
        time = Time()
        queue = Queue(Gate(limit, in_flight=in_flight, now=time, sleep=time.sleep))
        await story(queue, time)
        await queue.close()
        await settle()
        assert time.sleepers == 0

    asyncio.run(play())


def test_at_most_four_creates_and_four_reads_are_in_flight() -> None:
    async def story(queue: Queue, _: Time) -> None:
        await queue.ask_many(Priority.CREATE, 6)
        await queue.ask_many(Priority.SWEEP, 6)
        assert (queue.count("create"), queue.count("sweep")) == (4, 4)
        await queue.leave("create 0", "sweep 3")
        assert (queue.count("create"), queue.count("sweep")) == (5, 5)

    at_a_gate(story)


def test_slow_creates_hold_up_no_read() -> None:
    async def story(queue: Queue, _: Time) -> None:
        await queue.ask_many(Priority.CREATE, 10)
        await queue.ask(("feed", Priority.FEED))
        assert "feed" in queue.passed

    at_a_gate(story)


def test_slow_reads_and_creates_hold_up_no_hang_up() -> None:
    async def story(queue: Queue, _: Time) -> None:
        await queue.ask_many(Priority.CREATE, 10)
        await queue.ask_many(Priority.FEED, 10)
        await queue.ask(("hang up", Priority.HANG_UP))
        assert "hang up" in queue.passed

    at_a_gate(story)


def test_slow_reads_leave_one_place_to_the_feed_while_it_runs() -> None:
    async def story(queue: Queue, _: Time) -> None:
        queue.gate.feeding(True)
        await queue.ask_many(Priority.SWEEP, 6)
        assert queue.count("sweep") == 3
        await queue.ask(("feed", Priority.FEED))
        assert "feed" in queue.passed
        queue.gate.feeding(False)
        await queue.leave("feed")
        assert queue.count("sweep") == 4

    at_a_gate(story)


def test_the_feed_in_flight_takes_the_kept_place_and_no_other() -> None:
    async def story(queue: Queue, _: Time) -> None:
        queue.gate.feeding(True)
        await queue.ask(("feed", Priority.FEED))
        await queue.ask_many(Priority.SWEEP, 6)
        assert queue.count("sweep") == 3

    at_a_gate(story)


def test_the_right_of_way_is_hang_ups_creates_feed_overdue_analyses_sweep() -> None:
    async def story(queue: Queue, time: Time) -> None:
        await queue.ask(("first", Priority.SWEEP))
        await queue.leave_all()
        await queue.ask(*((priority.name, priority) for priority in reversed(Priority)))
        assert queue.passed == ["first"]
        for _ in Priority:
            await time.pass_by(60)
            await queue.leave_all()
        assert queue.passed[1:] == ["HANG_UP", "CREATE", "FEED", "OVERDUE", "ANALYSIS", "SWEEP"]

    at_a_gate(story, limit=1)


def test_equals_are_served_in_the_order_they_came() -> None:
    async def story(queue: Queue, _: Time) -> None:
        await queue.ask_many(Priority.ANALYSIS, 8)
        while queue.tickets:
            await queue.leave(next(iter(queue.tickets)))
        assert queue.passed == [f"analysis {n}" for n in range(8)]

    at_a_gate(story, in_flight=1)


def test_a_minutes_budget_may_go_in_one_burst_and_is_whole_again_at_the_next_utc_minute() -> None:
    async def story(queue: Queue, time: Time) -> None:
        await time.pass_by(50)
        await queue.ask_many(Priority.CREATE, 25)
        await queue.leave_until_nobody_passes()
        assert len(queue.passed) == 10
        await time.pass_by(9.5)
        assert len(queue.passed) == 10
        await time.pass_by(0.5)
        await queue.leave_until_nobody_passes()
        assert len(queue.passed) == 20

    at_a_gate(story, limit=10)


def test_without_a_limit_any_number_passes_in_a_minute() -> None:
    async def story(queue: Queue, time: Time) -> None:
        await queue.ask_many(Priority.CREATE, 1000)
        await queue.leave_until_nobody_passes()
        assert len(queue.passed) == 1000
        assert time.sleeps == 0

    at_a_gate(story, limit=0)


def test_hang_ups_are_counted_and_wait_for_the_minute_like_others() -> None:
    async def story(queue: Queue, time: Time) -> None:
        await queue.ask_many(Priority.HANG_UP, 3)
        await queue.leave_all()
        assert len(queue.passed) == 2
        await time.pass_by(60)
        assert len(queue.passed) == 3

    at_a_gate(story, limit=2)


def test_the_feed_gets_a_request_in_five_seconds_however_many_creates_there_are() -> None:
    async def story(queue: Queue, time: Time) -> None:
        queue.gate.feeding(True)
        await queue.ask_many(Priority.CREATE, 200)
        for second in range(59):
            await queue.ask((f"feed {second}", Priority.FEED))
            await queue.leave_until_nobody_passes()
            assert queue.count("feed") == second // 5 + 1
            await time.pass_by(1)
        assert queue.count("create") == 150 - 12

    at_a_gate(story)


def test_the_feed_may_go_faster_while_there_is_room() -> None:
    async def story(queue: Queue, time: Time) -> None:
        queue.gate.feeding(True)
        for second in range(60):
            await queue.ask((f"feed {second}", Priority.FEED))
            await time.pass_by(1)
            await queue.leave_all()
        assert queue.count("feed") == 60

    at_a_gate(story)


def test_what_is_kept_for_the_feed_is_given_to_hang_ups() -> None:
    async def story(queue: Queue, _: Time) -> None:
        queue.gate.feeding(True)
        await queue.ask_many(Priority.CREATE, 30)
        await queue.leave_until_nobody_passes()
        assert queue.count("create") == 18
        await queue.ask_many(Priority.HANG_UP, 20)
        await queue.leave_until_nobody_passes()
        assert queue.count("hang_up") == 12

    at_a_gate(story, limit=30)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 24])
def test_a_small_limit_starves_neither_creates_nor_feed(limit: int) -> None:
    async def story(queue: Queue, time: Time) -> None:
        queue.gate.feeding(True)
        await queue.ask_many(Priority.CREATE, 100)
        for second in range(180):
            if second % 10 == 0:
                await queue.ask((f"feed {second}", Priority.FEED))
            await time.pass_by(1)
            await queue.leave_until_nobody_passes()
        assert queue.count("create") >= 3
        assert limit == 1 or queue.count("feed") >= 3

    at_a_gate(story, limit=limit)


def test_the_kept_room_is_free_again_when_there_is_no_feed() -> None:
    async def story(queue: Queue, _: Time) -> None:
        queue.gate.feeding(True)
        await queue.ask_many(Priority.CREATE, 50)
        await queue.leave_until_nobody_passes()
        assert queue.count("create") == 18
        queue.gate.feeding(False)
        await queue.leave_until_nobody_passes()
        assert queue.count("create") == 30

    at_a_gate(story, limit=30)


@pytest.mark.parametrize("patient", [Priority.ANALYSIS, Priority.SWEEP])
def test_what_can_wait_leaves_room_for_as_many_dials_as_there_were_in_the_minute_before(patient: Priority) -> None:
    async def story(queue: Queue, time: Time) -> None:
        passed = 0
        for minute in range(2):
            if minute:
                await queue.ask_many(patient, 100)
            for second in range(60):
                if second % 3 == 0:
                    await queue.ask((f"create {minute} {second}", Priority.CREATE))
                await queue.leave_until_nobody_passes()
                assert queue.count("create") == 20 * minute + second // 3 + 1, "a line was idle"
                passed = queue.count(patient.name.lower())
                await time.pass_by(1)
        assert passed == 9  # one is left over until the minute is

    at_a_gate(story, limit=30)


def test_what_can_wait_has_a_tenth_of_the_minute_although_dials_could_fill_it() -> None:
    async def story(queue: Queue, time: Time) -> None:
        await queue.ask_many(Priority.CREATE, 30)
        await queue.leave_until_nobody_passes()
        await queue.ask_many(Priority.SWEEP, 30)
        await time.pass_by(60)
        await queue.leave_until_nobody_passes()
        assert queue.count("sweep") == 3

    at_a_gate(story, limit=30)


def test_a_pause_stops_everybody_but_hang_ups() -> None:
    async def story(queue: Queue, time: Time) -> None:
        queue.gate.pause(30)
        await queue.ask(*((priority.name, priority) for priority in Priority))
        assert queue.passed == ["HANG_UP"]
        await time.pass_by(29)
        assert queue.passed == ["HANG_UP"]
        await time.pass_by(1)
        assert queue.passed == [priority.name for priority in Priority]

    at_a_gate(story)


def test_a_shorter_pause_does_not_cut_a_longer_one() -> None:
    async def story(queue: Queue, time: Time) -> None:
        queue.gate.pause(30)
        queue.gate.pause(1)
        queue.gate.pause(-5)
        await queue.ask(("read", Priority.FEED))
        await time.pass_by(29)
        assert queue.passed == []

    at_a_gate(story)


def test_a_pause_that_comes_while_others_wait_holds_for_them_too() -> None:
    async def story(queue: Queue, time: Time) -> None:
        await queue.ask_many(Priority.CREATE, 2)
        queue.gate.pause(90)
        await queue.leave_all()
        await time.pass_by(60)
        assert queue.passed == ["create 0"]
        await time.pass_by(30)
        assert queue.passed == ["create 0", "create 1"]

    at_a_gate(story, limit=1)


def test_a_pause_is_told_once_however_many_requests_were_refused_together(caplog: pytest.LogCaptureFixture) -> None:
    async def story(queue: Queue, time: Time) -> None:
        queue.gate.pause(0)
        for seconds in (29.5, 30, 1):
            queue.gate.pause(seconds)
        await time.pass_by(30)
        queue.gate.pause(1)

    at_a_gate(story)
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        "Vapi takes no more requests just now, so nobody is dialled and nothing is asked for 30 seconds",
        "Vapi takes no more requests just now, so nobody is dialled and nothing is asked for 1 second",
    ]


def test_a_clock_that_is_set_back_an_hour_does_not_make_a_pause_an_hour_long() -> None:
    async def story(queue: Queue, time: Time) -> None:
        queue.gate.pause(10)
        time.now -= 3600
        await queue.ask(("read", Priority.FEED))
        await time.pass_by(10)
        assert queue.passed == ["read"]

    at_a_gate(story)


def test_a_clock_that_is_set_back_a_second_over_the_minutes_turn_gives_no_second_budget() -> None:
    async def story(queue: Queue, time: Time) -> None:
        await time.pass_by(60)
        await queue.ask_many(Priority.CREATE, 12)
        await queue.leave_until_nobody_passes()
        time.now -= 1
        await queue.ask(("late", Priority.CREATE))
        await time.pass_by(1)
        await queue.leave_all()
        assert len(queue.passed) == 10
        await time.pass_by(60)
        await queue.leave_all()
        assert len(queue.passed) == 13

    at_a_gate(story, limit=10)


def test_a_wait_that_is_cancelled_takes_nothing_with_it() -> None:
    async def story(queue: Queue, _: Time) -> None:
        await queue.ask_many(Priority.CREATE, 6)
        queue.tasks["create 4"].cancel()
        await settle()
        await queue.leave_all()
        assert queue.passed[4:] == ["create 5"]
        await queue.leave_all()
        assert repr(queue.gate).startswith("<Gate 0/2 hang-ups, 0/4 creates, 0/4 reads in flight, 5/150")

    at_a_gate(story)


def test_a_wait_that_is_cancelled_just_as_it_is_granted_gives_place_and_budget_back() -> None:
    async def story(queue: Queue, _: Time) -> None:
        await queue.ask_many(Priority.CREATE, 2)
        queue.tickets.pop("create 0").release()  # grants the turn of the next, whose task has not run yet
        queue.tasks["create 1"].cancel()
        await settle()
        assert queue.passed == ["create 0"]
        assert "0/1 creates" in repr(queue.gate)
        await queue.ask(("another", Priority.CREATE))
        assert queue.passed == ["create 0", "another"]

    at_a_gate(story, limit=2, in_flight=1)


def test_a_place_that_falls_free_passes_by_a_wait_that_was_cancelled_at_the_same_moment() -> None:
    async def story(queue: Queue, _: Time) -> None:
        await queue.ask_many(Priority.CREATE, 3)
        queue.tasks["create 1"].cancel()
        queue.tickets.pop("create 0").release()
        await settle()
        assert queue.passed == ["create 0", "create 2"]
        assert "1/1 creates" in repr(queue.gate)
        assert "2/150" in repr(queue.gate)

    at_a_gate(story, in_flight=1)


def test_a_ticket_is_given_back_once_however_often_it_is_released() -> None:
    async def story(queue: Queue, _: Time) -> None:
        first, second = await queue.gate.enter(Priority.CREATE), await queue.gate.enter(Priority.CREATE)
        for _n in range(3):
            first.release()
        assert "1/4 creates" in repr(queue.gate)
        with second, suppress(KeyError):
            raise KeyError
        assert "0/4 creates" in repr(queue.gate)
        assert repr(first) == "<Ticket CREATE, given back>"

    at_a_gate(story)


def test_a_ticket_that_was_not_used_gives_its_request_back_to_the_minute() -> None:
    async def story(queue: Queue, time: Time) -> None:
        await queue.ask_many(Priority.CREATE, 3)
        assert queue.passed == ["create 0", "create 1"]
        queue.tickets.pop("create 0").release()
        await settle()
        assert len(queue.passed) == 2  # it was sent, so the minute is over
        unused = queue.tickets.pop("create 1")
        for _ in range(3):
            unused.release(unused=True)
        await settle()
        assert queue.passed == ["create 0", "create 1", "create 2"]
        assert "2/2 this minute" in repr(queue.gate)

    at_a_gate(story, limit=2)


def test_a_ticket_of_an_earlier_minute_gives_nothing_back_to_this_one() -> None:
    async def story(queue: Queue, time: Time) -> None:
        await queue.ask_many(Priority.CREATE, 4)
        assert queue.passed == ["create 0", "create 1"]
        await time.pass_by(60)
        assert len(queue.passed) == 4
        queue.tickets.pop("create 0").release(unused=True)
        await queue.ask(("another", Priority.CREATE))
        assert len(queue.passed) == 4
        assert "2/2 this minute" in repr(queue.gate)

    at_a_gate(story, limit=2)


def test_nobody_is_woken_in_vain_while_a_minute_goes_by() -> None:
    async def story(queue: Queue, time: Time) -> None:
        await queue.ask_many(Priority.CREATE, 9)
        await queue.leave_all()
        await time.pass_by(59)
        assert time.sleeps == 1

    at_a_gate(story, limit=2)


def test_a_gate_shows_its_state() -> None:
    async def story(queue: Queue, _: Time) -> None:
        await queue.ask_many(Priority.CREATE, 6)
        await queue.ask(("feed", Priority.FEED))
        queue.gate.pause(5)
        assert repr(queue.gate) == (
            "<Gate 0/2 hang-ups, 4/4 creates, 1/4 reads in flight, 5/150 this minute, 2 waiting, paused>"
        )
        assert repr(queue.tickets["feed"]) == "<Ticket FEED>"

    at_a_gate(story)


@contextmanager
def counted(peaks: dict[str, int], lane: str) -> Iterator[None]:
    peaks[lane] = peaks.get(lane, 0) + 1
    peaks[f"most {lane}"] = max(peaks.get(f"most {lane}", 0), peaks[lane])
    try:
        yield
    finally:
        peaks[lane] -= 1


@settings(max_examples=60, deadline=None)
@given(
    requests=st.lists(st.tuples(st.sampled_from(Priority), st.integers(0, 40), st.booleans()), max_size=60),
    limit=st.integers(0, 12),
    feeding=st.booleans(),
)
def test_whatever_comes_the_limits_hold_and_everybody_is_served(
    requests: list[tuple[Priority, int, bool]], limit: int, feeding: bool
) -> None:
    async def play() -> None:
        time = Time()
        gate = Gate(limit, in_flight=3, now=time, sleep=time.sleep)
        gate.feeding(feeding)
        peaks: dict[str, int] = {}
        minutes: dict[float, int] = {}

        async def request(priority: Priority, seconds: int) -> None:
            with await gate.enter(priority):
                minutes[time.now // 60] = minutes.get(time.now // 60, 0) + 1
                lane = {Priority.HANG_UP: "hang-up", Priority.CREATE: "create"}.get(priority, "read")
                with counted(peaks, lane):
                    await time.sleep(seconds)

        tasks = []
        for priority, seconds, given_up in requests:
            tasks.append(asyncio.create_task(request(priority, seconds)))
            await asyncio.sleep(0)
            if given_up:
                tasks[-1].cancel()
        for _ in range(70):
            await time.pass_by(60)
        done = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), timeout=5)
        assert [isinstance(each, asyncio.CancelledError) for each in done] == [given_up for *_, given_up in requests]
        assert max(minutes.values(), default=0) <= (limit or len(requests))
        most = [peaks.get(f"most {lane}", 0) for lane in ("hang-up", "create", "read")]
        assert all(peak <= places for peak, places in zip(most, (2, 3, 3), strict=True))
        assert "0/2 hang-ups, 0/3 creates, 0/3 reads" in repr(gate)

    asyncio.run(play())
