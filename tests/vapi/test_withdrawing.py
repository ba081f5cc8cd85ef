"""Taking back a call that waits: nothing leaves before that is committed, and a later process knows what that means."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest

from concierge_calls.backend import Placed, Progress, Stage, Verdict
from concierge_calls.models import CallStatus
from concierge_calls.vapi.backend import VapiBackend
from concierge_calls.vapi.following import Do, Life, Pace, Step, on_the_line
from concierge_calls.vapi.schemas import Call
from tests.vapi.conftest import TURNS, moment, steps

COMMIT = 20.0  # seconds; a journal whose disk is very slow
NO = httpx.Response(400, json={"message": "the call is not waiting", "statusCode": 400})


def waiting(vapi: Any, status: str = "scheduled", **more: Any) -> Placed:
    """Write a call that waits for a line, and for ever unless `more` says otherwise."""
    silent: dict[str, Any] = {"rings": None, "answered": None, "ends": None}
    written: Placed = vapi.call(status=status, blocked=True, **silent | more)
    return written


def deleted(vapi: Any, at: float) -> Placed:
    """Write a call that somebody deletes while it waits."""
    return waiting(vapi, ends=at, reason="scheduled-call-deleted", turns=[], analysed=None)


def resumed(placed: Placed) -> Placed:
    """The receipt of a call that an earlier process was about to take back."""
    return replace(placed, blocked=False, withdrawing=True)


def stages(told: list[tuple[float, Progress]]) -> list[Stage]:
    return [progress.stage for _, progress in told]


def slowly_committed(vapi: Any, placed: Placed) -> list[tuple[float, Progress]]:
    """Follow a call, and ask for the next step only when the one before has been committed."""

    async def scenario(backend: VapiBackend) -> list[tuple[float, Progress]]:
        loop = asyncio.get_running_loop()
        told = []
        async for progress in steps(backend, placed):
            told.append((round(loop.time(), 3), progress))
            await asyncio.sleep(COMMIT)
        return told

    result: list[tuple[float, Progress]] = vapi.run(scenario)
    return result


def test_a_call_is_read_then_said_to_be_taken_back_then_read_again_deleted_and_read_back(vapi: Any) -> None:
    told = slowly_committed(vapi, waiting(vapi))

    assert stages(told) == [Stage.WITHDRAWING, Stage.ENDED]
    assert told[0][1] == Progress(stage=Stage.WITHDRAWING)
    said = told[0][0]
    assert 30 <= said <= 31
    asked = [(at, kind) for at, kind, _ in vapi.requests if kind in ("get", "delete")]
    assert asked[:3] == [(said, "get"), (said + COMMIT, "get"), (said + COMMIT, "delete")]
    assert told[1][0] >= said + COMMIT
    assert told[1][1].verdict is Verdict.WITHDRAWN


def test_a_call_is_not_deleted_for_whoever_could_not_commit_that_it_is_to_be(vapi: Any) -> None:
    placed = waiting(vapi)

    async def scenario(backend: VapiBackend) -> Progress:
        following = steps(backend, placed)
        first = await anext(following)
        await asyncio.sleep(3600)
        await following.aclose()  # type: ignore[attr-defined]
        await asyncio.sleep(3600)
        return first

    assert vapi.run(scenario).stage is Stage.WITHDRAWING
    assert vapi.asked["delete"] == 0


def test_a_call_that_rings_while_that_is_committed_is_not_deleted(vapi: Any) -> None:
    told = slowly_committed(vapi, waiting(vapi, rings=40.0, answered=60.0, ends=200.0))

    assert stages(told) == list(Stage)
    assert vapi.asked["delete"] == 0


def test_a_call_that_rings_unseen_while_that_is_committed_is_not_deleted(vapi: Any) -> None:
    told = slowly_committed(vapi, waiting(vapi, rings=40.0, answered=60.0, ends=200.0, hidden_from=35.0))

    assert stages(told) == list(Stage)
    assert vapi.asked["delete"] == 0


def test_a_call_is_said_once_to_be_taken_back_however_often_that_is_tried(vapi: Any) -> None:
    vapi.answer = lambda kind, at: NO if kind == "delete" and at < 100 else None
    [told] = vapi.follow(waiting(vapi))

    assert stages(told) == [Stage.WITHDRAWING, Stage.ENDED]
    assert vapi.asked["delete"] > 20


def test_a_call_that_somebody_else_deletes_after_our_delete_was_refused_is_cancelled(vapi: Any) -> None:
    vapi.answer = lambda kind, at: NO if kind == "delete" else None
    [told] = vapi.follow(deleted(vapi, 100))

    assert stages(told) == [Stage.WITHDRAWING, Stage.ENDED, Stage.SETTLED]
    assert (told[-1][1].verdict, told[-1][1].outcome.status) == (Verdict.FINAL, CallStatus.CANCELLED)


def test_a_call_that_rings_before_it_is_said_to_be_taken_back_is_not_said_to_be_any_more() -> None:
    start = moment(0)
    placed = Placed(call_id="c-1", created_at=start, blocked=True)
    life = Life(placed=placed, deadline=moment(390), pace=Pace(), heard_at=start)
    life.hear(Call.model_validate({"id": "c-1", "status": "scheduled"}), start)
    life.to_be_deleted = True
    assert on_the_line(life, start, sweep=60.0) == Step(Do.TELL, stage=Stage.WITHDRAWING)
    life.hear(Call.model_validate({"id": "c-1", "status": "ringing"}), start)
    assert on_the_line(life, start, sweep=60.0) == Step(Do.TELL, stage=Stage.RINGING)
    life.told = Stage.RINGING
    assert on_the_line(life, start, sweep=60.0).do is Do.WAIT


# What a later process makes of it


@pytest.mark.parametrize("age", [5.0, 600.0])
def test_a_call_that_an_earlier_process_was_to_take_back_and_that_was_deleted_was_taken_back(
    vapi: Any, age: float
) -> None:
    placed = resumed(deleted(vapi, 2.0))

    async def scenario(backend: VapiBackend) -> list[Progress]:
        await asyncio.sleep(age)
        return [progress async for progress in steps(backend, placed)]

    [last] = vapi.run(scenario)
    assert (last.stage, last.verdict, last.reason.code) == (Stage.ENDED, Verdict.WITHDRAWN, "withdrawn")
    assert vapi.asked["delete"] == 0


def test_a_call_that_an_earlier_process_was_to_take_back_and_that_waits_still_is_taken_back_and_not_said_so_again(
    vapi: Any,
) -> None:
    [told] = vapi.follow(resumed(waiting(vapi)))

    assert [(progress.stage, progress.verdict) for _, progress in told] == [(Stage.ENDED, Verdict.WITHDRAWN)]
    assert vapi.asked["delete"] == 1


def test_a_call_that_an_earlier_process_was_to_take_back_and_that_rang_is_followed_to_its_end(vapi: Any) -> None:
    [told] = vapi.follow(resumed(waiting(vapi, rings=3.0, answered=5.0, ends=60.0, turns=TURNS)))

    assert stages(told) == [Stage.RINGING, Stage.IN_PROGRESS, Stage.ENDED, Stage.SETTLED]
    assert told[-1][1].outcome.status is CallStatus.COMPLETED


def test_a_call_that_rang_under_an_earlier_process_is_never_taken_for_taken_back(vapi: Any) -> None:
    [told] = vapi.follow(replace(resumed(deleted(vapi, 2.0)), rang=True))

    assert stages(told) == [Stage.ENDED, Stage.SETTLED]
    assert (told[-1][1].verdict, told[-1][1].outcome.status) == (Verdict.FINAL, CallStatus.CANCELLED)


def test_a_call_that_vapi_does_not_know_after_an_earlier_process_was_to_take_it_back_is_lost_at_once(
    vapi: Any,
) -> None:
    [[(at, last)]] = vapi.follow(resumed(waiting(vapi, hidden_from=0.0, unknown_until=float("inf"))))

    assert (last.verdict, last.outcome.status) == (Verdict.LOST, CallStatus.UNCERTAIN)
    assert at <= 10


def test_of_a_call_that_is_found_deleted_it_is_not_known_who_did_it_so_its_end_is_not_final(vapi: Any) -> None:
    vapi.created_with = {"status": "scheduled", "rings": None, "answered": None, "ends": None, "blocked": True}
    deleted(vapi, 2.0)
    vapi.calls["c-1"].changes.append((0.0, {"customer": {"externalId": "run-0-1"}}, False))

    async def scenario(backend: VapiBackend) -> Placed:
        await asyncio.sleep(5)
        return dict(await backend.find(["run-0-1"], backend.now().replace(year=2025)))["run-0-1"]

    found = vapi.run(scenario)
    assert (found.withdrawing, found.over.stage, found.over.verdict) == (False, Stage.ENDED, Verdict.WITHDRAWN)
