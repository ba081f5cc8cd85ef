"""What all runs of one server share: its lines, fairly, and the questions that several of them ask."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import httpx
import pytest

from concierge_calls.api.left_lines import LeftLines
from concierge_calls.api.work import Work
from concierge_calls.exchange import exchange
from concierge_calls.kestra.runner import AtWork
from concierge_calls.lines import Lines, Share
from concierge_calls.models import RunResult, RunStats
from concierge_calls.settings.loading import load
from concierge_calls.vapi.together import Together
from tests.api.conftest import LONGEST, Served, Vapi, batch, until
from tests.calling.fakes import VirtualLoop, now
from tests.report.samples import RUN

T = TypeVar("T")
Serve = Callable[..., Served]


def played(scenario: Any) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(scenario)


async def called(share: Share, calls: int, seconds: float = 10.0) -> float:
    """Have so many calls on the lines of this share, each for so long, and return when the last one had its line."""

    async def call(line: Any) -> None:
        await asyncio.sleep(seconds)
        line.free()

    async with asyncio.TaskGroup() as group:
        for _ in range(calls):
            group.create_task(call(await share.take()))
        return now()


def test_a_run_of_two_does_not_wait_behind_a_run_of_two_hundred() -> None:
    async def scenario() -> list[float]:
        lines = Lines(5)
        large = asyncio.ensure_future(called(lines.share(5), 200))
        await asyncio.sleep(1)
        return [await called(lines.share(5), 2), await large]

    assert played(scenario()) == [10, 400]


def test_lines_are_shared_evenly_and_none_is_idle() -> None:
    async def scenario() -> list[int]:
        lines, seen = Lines(6), []
        shares = [lines.share(6) for _ in range(3)]
        work = [asyncio.ensure_future(called(share, 40)) for share in shares]
        for _ in range(10):
            await asyncio.sleep(10.5)
            seen += [share.busy for share in shares]
        await asyncio.gather(*work)
        assert (lines.busy, now()) == (0, 200)
        return seen[6:]

    assert set(played(scenario())) == {2}


def test_a_run_with_long_calls_does_not_end_up_with_all_the_lines() -> None:
    async def scenario() -> list[int]:
        lines = Lines(6)
        long, short = lines.share(6), lines.share(6)
        work = [asyncio.ensure_future(called(long, 12, 100.0)), asyncio.ensure_future(called(short, 120, 10.0))]
        await asyncio.sleep(255)
        seen = [long.busy, short.busy]
        await asyncio.gather(*work)
        return seen

    assert played(scenario()) == [3, 3]


def test_no_share_has_more_lines_than_it_may_and_all_together_no_more_than_there_are() -> None:
    async def scenario() -> tuple[int, int]:
        lines = Lines(4)
        small, large = lines.share(1), lines.share(4)
        work = [asyncio.ensure_future(called(share, 12)) for share in (small, large)]
        most = peak = 0
        for _ in range(20):
            await asyncio.sleep(1)
            most, peak = max(most, small.busy), max(peak, lines.busy)
        await asyncio.gather(*work)
        return most, peak

    assert played(scenario()) == (1, 4)


def test_who_stops_waiting_holds_up_nobody() -> None:
    async def scenario() -> float:
        lines = Lines(1)
        held = await lines.share(1).take()
        gone = asyncio.ensure_future(lines.share(1).take())
        waiting = asyncio.ensure_future(lines.share(1).take())
        await asyncio.sleep(1)
        gone.cancel()
        held.free()
        (await waiting).free()
        return now()

    assert played(scenario()) == 1


def test_lines_with_calls_from_before_are_given_to_nobody_else_until_their_run_follows_these() -> None:
    async def scenario() -> list[float]:
        lines, work = Lines(3), Work()
        left = LeftLines(lines)
        left.hold(work, known(in_progress=2, uncertain=1))
        others = asyncio.ensure_future(called(lines.share(3), 3))
        await asyncio.sleep(10)
        async with left.held(work, known(in_progress=2, uncertain=1)):
            await asyncio.sleep(10)
            before = lines.busy
            work.found(Following(2))
            return [before, await others]

    assert played(scenario()) == [3, pytest.approx(20, abs=1)]


def test_lines_are_not_held_for_a_run_whose_calls_ended_as_soon_as_it_followed_them() -> None:
    async def scenario() -> float:
        lines, work = Lines(2), Work()
        work.found(Following(0))
        async with LeftLines(lines).held(work, known(in_progress=2)):
            return await called(lines.share(2), 1)

    assert played(scenario()) == pytest.approx(5, abs=1)


def known(**stats: int) -> RunResult:
    """Return a run with these figures."""
    return RunResult(run=replace(RUN, finished=False), stats=RunStats(**stats), results=())


class Following:
    """Stands for who works a run off, and awaits the end of so many calls."""

    stopped, interrupted = None, False

    def __init__(self, calls: int) -> None:
        self.underway = AtWork(calls)

    async def call_all(self) -> None:
        raise AssertionError

    def drain(self, *, hang_up: bool = False) -> None:
        raise AssertionError(hang_up)

    async def leave(self) -> None:
        raise AssertionError


def test_a_question_that_several_ask_at_once_is_asked_once_and_again_later() -> None:
    async def scenario() -> tuple[list[int], int]:
        together, asked = Together(), Counter[str]()

        async def ask() -> int:
            asked["times"] += 1
            await asyncio.sleep(1)
            return asked["times"]

        impatient = asyncio.ensure_future(together.ask("who?", ask))
        others = [asyncio.ensure_future(together.ask("who?", ask)) for _ in range(3)]
        await asyncio.sleep(0.5)
        impatient.cancel()
        found = await asyncio.gather(*others)
        return list(found), await together.ask("who?", ask)

    assert played(scenario()) == ([1, 1, 1], 2)


def test_two_hundred_requests_at_once_are_answered_the_bound_is_kept_and_nobody_is_rung_twice(
    serve: Serve, vapi: Vapi
) -> None:
    server = serve(VAPI_MAX_CONCURRENT_CALLS="20")
    answers: list[tuple[int, bool]] = []

    def ask(number: int) -> None:
        body = batch(100 + number % 100, area=864 if number < 100 else 312)
        asked: dict[str, Any] = {"json": body, "headers": {"Idempotency-Key": f"n{number}"}}
        # A client of its own, as two hundred programs would have.
        with httpx.Client(base_url=server.client.base_url, timeout=5 * LONGEST, trust_env=False) as client:
            while (answer := client.post("/providers/batch-call", **asked)).status_code == 429:
                assert answer.headers["retry-after"] == "30"
                threading.Event().wait(0.2)
        answers.append((answer.status_code, answer.json()["run"]["finished"]))

    asking = [threading.Thread(target=ask, args=(number,)) for number in range(200)]
    for each in asking:
        each.start()
    for each in asking:
        each.join()

    assert Counter(answers) == {(200, True): 200}
    assert (len(vapi.rang), set(vapi.rang.values())) == (200, {1})
    assert vapi.peak <= 20
    until(lambda: server.client.get("/health").json()["linesBusy"] == 0)


def test_a_small_run_is_done_while_a_large_one_goes_on(serve: Serve, vapi: Vapi) -> None:
    vapi.options.speed = 60.0
    server = serve(VAPI_MAX_CONCURRENT_CALLS="2")
    large = server.begin(batch(*(100 + number for number in range(100) if number % 10 in (0, 1, 2))))
    until(lambda: len(vapi.calls()) >= 2)
    small = server.post("/providers/batch-call", batch(100, 101, area=312)).json()

    assert small["stats"]["successful"] == 2
    assert server.document(large)["stats"]["pending"] > 10


def test_one_feed_follows_the_calls_of_all_runs_and_a_new_one_those_that_come_later() -> None:
    def feeds() -> int:
        return sum(task.get_name() == "vapi feed" for task in asyncio.all_tasks())

    async def scenario() -> list[int]:
        async with exchange(load(), simulate=True) as shared:
            first, second = shared.backend(load()), shared.backend(load({"call_timeout": 60}))
            async with first.open():
                async with second.open():
                    seen = [feeds()]
                seen.append(feeds())
            seen.append(feeds())
            async with second.open():
                return [*seen, feeds()]

    assert asyncio.run(scenario()) == [1, 1, 0, 1]


def test_runs_share_the_brakes_and_what_ends_alike_with_those_that_call_as_they_do() -> None:
    async def scenario() -> None:
        async with exchange(load(), simulate=True) as shared:
            first, second = shared.stopping(load()), shared.stopping(load({"call_timeout": 60}))
            other = shared.stopping(load({"assistant_id": "22222222-2222-4222-8222-222222222222"}))
            assert first.doubts is second.doubts is other.doubts
            assert first.calls_as == second.calls_as != other.calls_as

    asyncio.run(scenario())


def test_a_vapi_that_swallows_requests_to_dial_is_sent_few_of_a_dozen_runs_and_more_once_it_is_well(
    serve: Serve, vapi: Vapi
) -> None:
    vapi.options.fail_after, vapi.options.create_delay, vapi.options.list_lag = 1.0, 1.0, 1000.0
    server = serve(VAPI_MAX_CONCURRENT_CALLS="20")
    runs = [server.begin(batch(100 + number)) for number in range(12)]
    until(lambda: server.said.count("calls in a row are in doubt, so nobody else is dialled") == len(runs))

    dialled = len(vapi.calls())
    assert 3 <= dialled <= 4  # four may leave together
    stats = [server.document(run)["stats"] for run in runs]
    assert (sum(each["inProgress"] for each in stats), sum(each["pending"] for each in stats)) == (
        dialled,
        12 - dialled,
    )

    vapi.options.fail_after, vapi.options.create_delay, vapi.options.list_lag = 0.0, 0.0, 0.0
    assert server.post("/providers/batch-call", batch(110, 120, 130, area=312)).json()["stats"]["successful"] == 3
