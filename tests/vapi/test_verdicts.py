"""What may be placed again after its end: only a call of which nothing was ever heard, whatever its reason says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest

from concierge_calls.backend import Placed, Progress, Stage, Verdict
from concierge_calls.errors import AccountRefused
from concierge_calls.models import CallStatus
from concierge_calls.vapi.backend import VapiBackend
from concierge_calls.vapi.following import Life, Pace, was_heard
from concierge_calls.vapi.schemas import Call
from tests.vapi.conftest import moment, stamp, steps

REASONS = {
    "call.start.error-vapifault-get-org": Verdict.START_FAILED,
    "call.start.error-subscription-concurrency-limit-reached": Verdict.NO_LINE,
    "call.start.error-subscription-insufficient-credits": Verdict.ACCOUNT,
    "call.start.error-get-assistant": Verdict.ACCOUNT,
}
GREETING = [{"role": "bot", "message": "Have I reached Ace Plumbing?", "secondsFromStart": 0.4}]


def unheard(vapi: Any, reason: str, **more: Any) -> Placed:
    """Write a call that ends before anybody's phone rang."""
    silent: dict[str, Any] = {"rings": None, "answered": None, "ends": 8.0, "turns": [], "analysed": None}
    written: Placed = vapi.call(reason=reason, **silent | more)
    return written


def rings(vapi: Any, reason: str) -> Placed:
    return unheard(vapi, reason, rings=2.0)


def answers(vapi: Any, reason: str) -> Placed:
    placed = unheard(vapi, reason)
    vapi.calls["c-1"].changes.insert(1, (2.0, {"status": "in-progress"}, True))
    return placed


def has_begun(vapi: Any, reason: str) -> Placed:
    placed = unheard(vapi, reason)
    vapi.calls["c-1"].changes.append((8.0, {"startedAt": stamp(5.0)}, True))
    return placed


def has_spoken(vapi: Any, reason: str) -> Placed:
    return unheard(vapi, reason, turns=GREETING)


def rang_before(vapi: Any, reason: str) -> Placed:
    return replace(unheard(vapi, reason), rang=True)


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("heard", [rings, answers, has_begun, has_spoken, rang_before])
def test_a_call_that_was_heard_is_final_whatever_its_reason_says(
    vapi: Any, reason: str, heard: Callable[[Any, str], Placed]
) -> None:
    [told] = vapi.follow(heard(vapi, reason))

    ended, settled = [progress for _, progress in told[-2:]]
    assert (ended.stage, ended.verdict, ended.reason) == (Stage.ENDED, Verdict.FINAL, None)
    assert (settled.stage, settled.verdict) == (Stage.SETTLED, Verdict.FINAL)
    assert (settled.outcome.status, settled.outcome.ended_reason) == (CallStatus.ERROR, reason)
    assert "the phone rang, so it is not dialled again" in settled.outcome.error.message


@pytest.mark.parametrize(("reason", "verdict"), REASONS.items())
def test_a_call_of_which_nothing_was_heard_may_be_placed_again(vapi: Any, reason: str, verdict: Verdict) -> None:
    [[(_, ended)]] = vapi.follow(unheard(vapi, reason))

    assert (ended.stage, ended.verdict, ended.outcome.ended_reason) == (Stage.ENDED, verdict, reason)


def test_a_waiting_call_that_rang_and_was_deleted_all_the_same_is_final(vapi: Any) -> None:
    placed = vapi.call(status="scheduled", blocked=True, rings=None, answered=None, ends=None)
    vapi.calls["c-1"].survives_delete = True
    vapi.calls["c-1"].changes += [
        (31.0, {"status": "ringing"}, True),
        (35.0, {"status": "ended", "endedReason": "scheduled-call-deleted", "endedAt": stamp(35.0)}, True),
    ]
    [told] = vapi.follow(placed)

    assert vapi.asked["delete"] == 1
    assert [(progress.stage, progress.verdict) for _, progress in told] == [
        (Stage.WITHDRAWING, Verdict.FINAL),
        (Stage.RINGING, Verdict.FINAL),
        (Stage.ENDED, Verdict.FINAL),
        (Stage.SETTLED, Verdict.FINAL),
    ]


def test_a_call_that_vapi_forgot_after_it_rang_is_lost(vapi: Any) -> None:
    placed = replace(vapi.call(hidden_from=0, unknown_until=float("inf")), rang=True)
    [[(_, last)]] = vapi.follow(placed)

    assert (last.verdict, last.outcome.status) == (Verdict.LOST, CallStatus.UNCERTAIN)


def test_an_older_picture_that_comes_late_shows_that_it_rang() -> None:
    start = moment(0)
    life = Life(
        placed=Placed(call_id="c-1", created_at=start),
        deadline=start + timedelta(minutes=6),
        pace=Pace(),
        heard_at=start,
    )
    life.hear(Call.model_validate({"id": "c-1", "status": "ended"}), start)
    assert not was_heard(life)
    life.hear(Call.model_validate({"id": "c-1", "status": "ringing"}), start)
    assert was_heard(life)
    assert life.is_over


# A key that is refused for good

Followed = list[tuple[float, list[Progress], BaseException | None]]


def followed(vapi: Any, *placed: Placed, **settings: Any) -> Followed:
    """Follow calls until the end or the fault, and return when that was, what was told, and the fault."""

    async def one(backend: VapiBackend, each: Placed) -> tuple[float, list[Progress], BaseException | None]:
        told: list[Progress] = []
        fault = None
        try:
            async for progress in steps(backend, each):
                told.append(progress)  # noqa: PERF401 -- what was told before a fault counts
        except AccountRefused as error:
            fault = error
        return round(asyncio.get_running_loop().time(), 3), told, fault

    async def scenario(backend: VapiBackend) -> Followed:
        return list(await asyncio.gather(*(one(backend, each) for each in placed)))

    result: Followed = vapi.run(scenario, **settings)
    return result


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_every_read_for_a_quarter_of_an_hour_ends_the_following_and_no_call(
    vapi: Any, status: int
) -> None:
    calls = [vapi.call("c-1", ends=None), vapi.call("c-2", ends=None)]
    vapi.answer = lambda kind, at: httpx.Response(status, json={"message": "no"}) if at > 20 else None

    for at, told, fault in followed(vapi, *calls):
        assert 20 + 900 <= at <= 20 + 910
        assert [progress.stage for progress in told] == [Stage.RINGING, Stage.IN_PROGRESS]
        assert isinstance(fault, AccountRefused)
        assert fault.code == "key"
        assert "concierge-calls resume" in fault.message
    assert vapi.asked["delete"] == vapi.asked["control"] == vapi.asked["create"] == 0
    assert not any("did not end" in each for each in vapi.warnings)


@pytest.mark.parametrize("mended", [(500.0, 520.0), (900.0, 905.0)])
def test_a_quarter_of_an_hour_in_which_the_key_was_taken_once_ends_nothing(
    vapi: Any, mended: tuple[float, float]
) -> None:
    def refuse(kind: str, at: float) -> httpx.Response | None:
        refused = 20 < at < 1100 and not mended[0] < at < mended[1]
        return httpx.Response(401, json={"message": "no"}) if refused else None

    vapi.answer = refuse
    [(at, told, fault)] = followed(vapi, vapi.call(ends=1500), call_timeout=3600)
    assert (fault, at) == (None, 1504)
    assert [progress.stage for progress in told] == [Stage.RINGING, Stage.IN_PROGRESS, Stage.ENDED, Stage.SETTLED]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_vapi_that_fails_for_as_long_is_asked_on(vapi: Any, status: int) -> None:
    vapi.answer = lambda kind, at: httpx.Response(status, text="<html>") if 20 < at < 1500 else None
    [(at, told, fault)] = followed(vapi, vapi.call(ends=100))

    assert fault is None
    assert at >= 1500
    assert told[-1].stage is Stage.SETTLED


# Too many requests


def test_a_429_that_asks_for_an_hour_keeps_the_calls_out_of_sight_for_a_minute(vapi: Any) -> None:
    too_many = httpx.Response(429, json={"message": "Too Many Requests"}, headers={"Retry-After": "3600"})
    vapi.answer = lambda kind, at: too_many if 10 < at < 11.5 else None
    [told] = vapi.follow(vapi.call(ends=40))

    asked = vapi.moments("list")
    assert max(later - earlier for earlier, later in pairwise(asked)) <= 62
    assert told[-1][0] <= 80


def test_after_a_429_it_is_said_that_the_next_minute_is_waited_for_and_not_that_vapi_does_not_answer(
    vapi: Any, caplog: pytest.LogCaptureFixture
) -> None:
    vapi.answer = lambda kind, at: httpx.Response(429, text="slow down") if 10 < at < 70 else None
    [told] = vapi.follow(vapi.call(ends=100))

    assert vapi.warnings == []
    assert [record.getMessage() for record in caplog.records] == [
        "Vapi takes no more requests just now, so nobody is dialled and nothing is asked for "
        f"{wait} seconds; the calls on the line go on. If this comes often, set VAPI_MAX_REQUESTS_PER_MINUTE lower."
        for wait in (50, 60)
    ]
    assert [at for at in vapi.moments("list") if 10 < at < 125] == [11, 61, 121]
    assert told[-1][1].stage is Stage.SETTLED
