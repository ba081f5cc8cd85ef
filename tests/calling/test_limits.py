"""Too many calls: fewer lines are used, one more is tried now and then, and nobody loses the place in the row."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from concierge_calls.backend import Verdict
from concierge_calls.errors import ComeBackLater
from concierge_calls.models import CallStatus
from tests.calling.fakes import Take, now
from tests.calling.rehearsal import Rehearsal, Rehearse
from tests.calling.simulated import Held, StartVapi, providers
from tests.calling.test_network import Network, call_all
from tests.calling.test_sliding import greedy
from tests.vapi.conftest import PaperVapi

SHAPES = {
    "400": Take(error=ComeBackLater("No line.", "no_line"), after=0.2),
    "429": Take(error=ComeBackLater("Too many.", "rate_limit"), after=0.2),
    "ended": Take(verdict=Verdict.NO_LINE, talk=1.5, status=CallStatus.ERROR),
    "blocked": Take(verdict=Verdict.WITHDRAWN, after=0.2, talk=30.0, status=CallStatus.CANCELLED),
}
TALKS = [61.0, 33.0, 95.0, 47.0, 74.0, 28.0, 52.0]


def long_run(rehearse: Rehearse, shape: str, rows: int, account: int) -> tuple[Rehearsal, list[float]]:
    talks = [TALKS[index % len(TALKS)] for index in range(rows)]
    run = rehearse(rows, {index: [Take(talk=talk)] for index, talk in enumerate(talks)})
    run.backend.account_lines, run.backend.too_many = account, SHAPES[shape]
    return run, talks


def void_attempts(run: Rehearsal) -> int:
    return sum(attempt.state == "void" for attempt in run.attempts())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("account", [1, 2, 4])
def test_an_account_with_fewer_lines_than_ours_has_them_all_busy_and_is_seldom_tried(
    rehearse: Rehearse, shape: str, account: int
) -> None:
    run, talks = long_run(rehearse, shape, 40, account)
    run.call_all(lines=5, start_interval=1.0)

    assert run.statuses() == ["completed"] * 40
    assert run.backend.peak == account
    ideal = max(map(sum, zip(greedy(talks, account), talks, strict=True)))
    ended = max(call.ended or 0.0 for call in run.backend.calls.values() if call.rings)
    # A dial waits a second for the one before it, whoever was sent away another one, who waits at the backend longer.
    assert ended <= ideal + account + 0.02 * ideal + (30 if shape == "blocked" else 0)
    assert void_attempts(run) <= 12 + ideal / 100


@pytest.mark.parametrize("shape", SHAPES)
def test_lines_that_come_back_are_used_within_the_longest_wait_and_a_few_seconds_for_each(
    rehearse: Rehearse, shape: str
) -> None:
    async def scenario(run: Rehearsal) -> float:
        calling = asyncio.ensure_future((await run.caller(lines=5)).call_all())
        await asyncio.sleep(1000)
        run.backend.account_lines = 0
        all_used = asyncio.Event()
        run.observer = lambda event: all_used.set() if len(run.backend.live) == 5 else None
        await all_used.wait()
        used = now() - 1000
        calling.cancel()
        await asyncio.wait([calling])
        return used

    run, _ = long_run(rehearse, shape, 60, 1)
    assert run.play(scenario) <= 120 + 4 * 3


@pytest.mark.parametrize("shape", ["400", "429", "ended"])
def test_who_found_no_line_is_the_next_one_to_be_dialled(rehearse: Rehearse, shape: str) -> None:
    run, _ = long_run(rehearse, shape, 6, 1)
    run.call_all(lines=2)

    assert list(dict.fromkeys(run.backend.order)) == list(range(6))
    rang = {call.key for call in run.backend.calls.values() if call.rings}
    assert [sent.row for sent in run.backend.sent if sent.key in rang] == list(range(6))


def test_lines_that_are_lost_in_the_middle_of_a_run_are_given_up_one_by_one(rehearse: Rehearse) -> None:
    async def scenario(run: Rehearsal) -> None:
        calling = asyncio.ensure_future((await run.caller(lines=5)).call_all())
        await asyncio.sleep(100)
        run.backend.account_lines = 2
        await calling

    run, _ = long_run(rehearse, "400", 40, 0)
    run.play(scenario)
    assert run.statuses() == ["completed"] * 40
    assert void_attempts(run) <= 20


def test_a_quarter_of_an_hour_of_refusals_for_lack_of_lines_is_not_offline(rehearse: Rehearse) -> None:
    run = rehearse(1, {0: [SHAPES["400"]] * 40})
    caller = run.call_all()
    assert (caller.interrupted, run.statuses()) == (False, ["completed"])
    assert run.backend.starts[-1] > 900


def test_after_a_429_nothing_is_asked_for_until_the_minute_is_over_and_everybody_is_called_once(
    rehearse: Rehearse,
) -> None:
    vapi, refused = PaperVapi(), list[float]()
    vapi.created_with = {"ends": 100.0}

    def answer(kind: str, at: float) -> httpx.Response | None:
        live = sum(call.created + 100 > at for call in vapi.calls.values())
        if kind != "create" or live < 2:
            return None
        refused.append(at)
        return httpx.Response(429, json={"message": "Rate limit exceeded", "statusCode": 429})

    vapi.answer = answer
    run = rehearse(6)
    call_all(run, Network(vapi, outage=(0.0, 0.0)), lines=5, start_interval=1.0)

    assert (run.statuses(), len(vapi.calls), vapi.asked["create"]) == (["completed"] * 6, 6, 6 + len(refused))
    waits = [(at, (at // 60 + 1) * 60) for at in refused]
    assert [asked for asked, _, _ in vapi.requests for since, until in waits if since < asked < until] == []
    assert 0 < len(refused) <= 4


# The last shape waits for the minute's turn, so it is tried on paper.
@pytest.mark.parametrize("shape", ["400", "blocked", "ended"])
def test_at_the_simulator_everybody_is_called_once_on_the_lines_there_are(start: StartVapi, shape: str) -> None:
    whom = providers("01230123")
    vapi = start(lines=2, lines_shape=shape, speed=100.0, stuck={each.phone: "in-progress" for each in whom})
    run = vapi.call(whom, max_concurrent=5, observer=Held(vapi, whom, lines=2))

    assert (run.run.finished, vapi.peak(), vapi.times_rung(whom)) == (True, 2, [1] * 8)
    assert [result.ended_reason for result in run.results] == ["customer-ended-call"] * 8
