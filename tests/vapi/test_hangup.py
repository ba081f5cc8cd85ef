"""Ending a call before its time: what is asked first, what is done, and what is believed of it afterwards."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from concierge_calls.backend import Placed, Stage, Verdict
from concierge_calls.models import CallStatus
from concierge_calls.vapi.backend import VapiBackend

Told = list[tuple[float, Any]]  # when, and the Progress

STAGES = [Stage.RINGING, Stage.IN_PROGRESS, Stage.ENDED, Stage.SETTLED]
DEADLINE = 60 + 300 + 30  # of a call with the default limit, from its creation
CONCURRENCY = "call.start.error-subscription-concurrency-limit-reached"


def hung_up(vapi: Any, placed: Placed, after: float) -> Told:
    """Follow a call that the user hangs up after so many seconds."""

    async def scenario(backend: VapiBackend) -> Told:
        loop = asyncio.get_running_loop()
        loop.call_later(after, backend.hang_up, placed.call_id)
        return [(round(loop.time(), 3), progress) async for progress in backend.follow(placed)]

    told: Told = vapi.run(scenario)
    return told


def ends(told: Told) -> tuple[float, Any]:
    """When the call ended, and what was told of it; it must have been told once."""
    [found] = [(at, progress) for at, progress in told if progress.stage is Stage.ENDED]
    return found


# The deadline


def test_a_call_over_its_deadline_is_asked_about_then_hung_up_and_is_a_timeout_once_vapi_says_it_ended(
    vapi: Any,
) -> None:
    [told] = vapi.follow(vapi.call(ends=None))

    at, ended = ends(told)
    assert DEADLINE <= at <= DEADLINE + 2
    assert (ended.outcome.status, ended.outcome.ended_reason) == (CallStatus.TIMEOUT, "manually-canceled")
    assert ended.outcome.error.code == "timeout"
    assert told[-1][1].outcome.status is CallStatus.TIMEOUT
    assert vapi.moments("get")[-1] <= vapi.moments("control")[0] == DEADLINE
    assert vapi.asked["delete"] == 0


def test_a_call_that_had_ended_when_vapi_was_asked_again_is_no_timeout(vapi: Any) -> None:
    vapi.answer = lambda kind, at: httpx.Response(503) if kind == "list" else None
    vapi.delays["get"] = 15.0
    [told] = vapi.follow(vapi.call(ends=DEADLINE - 3))

    assert ends(told)[1].outcome.status is CallStatus.COMPLETED
    assert vapi.asked["control"] == 0


def test_a_machine_that_slept_hangs_nobody_up(vapi: Any) -> None:
    vapi.answer = lambda kind, at: httpx.Response(503) if 20 < at < 3000 else None
    [told] = vapi.follow(vapi.call(ends=200))

    assert ends(told)[1].outcome.status is CallStatus.COMPLETED
    assert vapi.asked["control"] == vapi.asked["delete"] == 0


def test_a_clock_that_jumped_an_hour_hangs_nobody_up(vapi: Any) -> None:
    vapi.clock_error = lambda kind, at: 3600.0 if kind == "list" and 20 < at < 150 else 0.0
    [told] = vapi.follow(vapi.call(ends=200))

    assert ends(told)[1].outcome.status is CallStatus.COMPLETED
    assert vapi.asked["get"] > 0
    assert vapi.asked["control"] == vapi.asked["delete"] == 0


def test_a_call_that_vapi_cut_at_its_own_limit_is_a_timeout_without_our_doing(vapi: Any) -> None:
    [told] = vapi.follow(vapi.call(ends=305, reason="exceeded-max-duration"))

    assert ends(told)[1].outcome.status is CallStatus.TIMEOUT
    assert vapi.asked["control"] == 0


def test_a_call_that_will_not_end_is_given_up_as_a_timeout_a_minute_later_and_said_so(vapi: Any) -> None:
    [told] = vapi.follow(vapi.call(ends=None, deaf=True))

    at, ended = ends(told)
    assert DEADLINE + 60 <= at <= DEADLINE + 64
    assert (ended.verdict, ended.outcome.status, ended.outcome.error.code) == (
        Verdict.FINAL,
        CallStatus.TIMEOUT,
        "timeout",
    )
    assert told[-1][1].stage is Stage.SETTLED
    assert told[-1][1].outcome == ended.outcome
    [warning] = vapi.warnings
    assert "c-1" in warning


def test_a_call_whose_control_url_is_not_known_is_given_up_too(vapi: Any) -> None:
    placed = vapi.call(ends=None)
    vapi.calls["c-1"].changes.insert(1, (0.0, {"monitor": {}}, True))
    [told] = vapi.follow(placed)

    assert ends(told)[1].outcome.status is CallStatus.TIMEOUT
    assert vapi.asked["control"] == 0


def test_a_call_that_is_over_its_deadline_is_not_given_up_while_vapi_cannot_be_asked(vapi: Any) -> None:
    vapi.answer = lambda kind, at: httpx.Response(503) if DEADLINE - 5 < at < DEADLINE + 600 else None
    [told] = vapi.follow(vapi.call(ends=None))

    at, ended = ends(told)
    assert at >= DEADLINE + 600
    assert ended.outcome.status is CallStatus.TIMEOUT
    assert vapi.warnings == ["Vapi does not answer; it is asked again. 1 call meanwhile unseen."]


def test_a_call_that_still_waits_for_a_line_at_its_deadline_is_deleted_and_never_was_a_call(vapi: Any) -> None:
    placed = vapi.call(status="scheduled", rings=None, answered=None, ends=None, survives_delete=True)

    async def scenario(backend: VapiBackend) -> Told:
        loop = asyncio.get_running_loop()
        loop.call_later(DEADLINE + 5, setattr, vapi.calls["c-1"], "survives_delete", False)
        return [(loop.time(), progress) async for progress in backend.follow(placed)]

    at, ended = ends(vapi.run(scenario))
    assert at > DEADLINE
    assert ended.verdict is Verdict.WITHDRAWN


@pytest.mark.parametrize("status", ["deletion-failed", "something-new"])
def test_a_call_of_an_odd_status_is_hung_up_at_its_deadline_like_any_other(vapi: Any, status: str) -> None:
    placed = vapi.call(ends=None, deaf=True)
    vapi.calls["c-1"].changes.append((20.0, {"status": status}, True))
    [told] = vapi.follow(placed)

    assert DEADLINE + 60 <= ends(told)[0] <= DEADLINE + 64
    assert ends(told)[1].outcome.status is CallStatus.TIMEOUT
    assert vapi.asked["delete"] == 0


def test_the_status_not_found_is_a_404_by_another_name(vapi: Any) -> None:
    placed = vapi.call(blocked=True, rings=None, answered=None, ends=None, status="not-found")
    [[(at, last)]] = vapi.follow(placed)

    assert DEADLINE + 3600 <= at <= DEADLINE + 3612
    assert (last.verdict, last.outcome.status) == (Verdict.LOST, CallStatus.UNCERTAIN)
    assert vapi.asked["delete"] == vapi.asked["control"] == 0


# The user


def test_a_call_hung_up_by_the_user_is_cancelled_once_vapi_says_it_ended(vapi: Any) -> None:
    told = hung_up(vapi, vapi.call(ends=None), after=20)

    at, ended = ends(told)
    assert 20 <= at <= 21
    assert (ended.outcome.status, ended.outcome.error.code) == (CallStatus.CANCELLED, "cancelled")
    assert vapi.asked["control"] == 1


def test_a_ringing_call_is_asked_to_end_until_its_control_url_takes_it(vapi: Any) -> None:
    placed = vapi.call(rings=1, answered=None, ends=None, takes_orders=False)

    async def scenario(backend: VapiBackend) -> Told:
        loop = asyncio.get_running_loop()
        loop.call_later(5, backend.hang_up, "c-1")
        loop.call_later(15, setattr, vapi.calls["c-1"], "takes_orders", True)
        return [(loop.time(), progress) async for progress in backend.follow(placed)]

    at, ended = ends(vapi.run(scenario))
    assert 15 <= at <= 18
    assert ended.outcome.status is CallStatus.CANCELLED
    assert vapi.asked["control"] > 3


def test_a_queued_call_that_waits_for_no_line_is_never_deleted(vapi: Any) -> None:
    told = hung_up(vapi, vapi.call(rings=20, answered=None, ends=None), after=2)

    assert ends(told)[0] >= 20
    assert vapi.asked["delete"] == 0


def test_a_call_that_ended_by_itself_before_the_hang_up_keeps_its_own_ending(vapi: Any) -> None:
    told = hung_up(vapi, vapi.call(ends=20, takes_orders=False), after=15)

    assert ends(told)[1].outcome.status is CallStatus.COMPLETED


def test_a_call_that_refused_to_be_hung_up_and_ended_later_keeps_its_own_ending(vapi: Any) -> None:
    told = hung_up(vapi, vapi.call(ends=20, reason="assistant-ended-call", takes_orders=False), after=15)

    assert ends(told)[1].outcome.status is CallStatus.COMPLETED


def test_hanging_up_a_call_that_has_ended_changes_nothing(vapi: Any) -> None:
    told = hung_up(vapi, vapi.call(ends=20, analysed=10), after=22)

    assert [progress.outcome.status for _, progress in told[-2:]] == [CallStatus.COMPLETED] * 2
    assert vapi.asked["control"] == 0


def test_a_call_that_is_hung_up_before_it_is_followed_is_hung_up_all_the_same(vapi: Any) -> None:
    placed = vapi.call(ends=None)

    async def scenario(backend: VapiBackend) -> list[Any]:
        backend.hang_up("c-1")
        return [progress async for progress in backend.follow(placed)]

    assert vapi.run(scenario)[-1].outcome.status is CallStatus.CANCELLED


def test_a_call_whose_hang_up_was_taken_and_that_goes_on_is_given_up_a_minute_later(vapi: Any) -> None:
    told = hung_up(vapi, vapi.call(ends=None, deaf=True), after=20)

    assert 80 <= ends(told)[0] <= 84
    assert ends(told)[1].outcome.status is CallStatus.TIMEOUT
    assert len(vapi.warnings) == 1


def test_a_hang_up_whose_reply_was_lost_is_ours_all_the_same(vapi: Any) -> None:
    placed = vapi.call(ends=None)

    def lost(kind: str, at: float) -> httpx.Response | None:
        if kind == "control":
            vapi.calls["c-1"].cut_short(at, status="ended", endedReason="assistant-ended-call")
            raise httpx.ReadError("reset")
        return None

    vapi.answer = lost
    assert ends(hung_up(vapi, placed, after=20))[1].outcome.status is CallStatus.CANCELLED


# Waiting for a free line


def waiting(vapi: Any, status: str = "scheduled", **more: Any) -> Placed:
    written: Placed = vapi.call(status=status, blocked=True, **({"rings": None, "answered": None, "ends": None} | more))
    return written


@pytest.mark.parametrize("status", ["scheduled", "queued"])
def test_a_blocked_call_that_still_waits_after_thirty_seconds_is_withdrawn(vapi: Any, status: str) -> None:
    [told] = vapi.follow(waiting(vapi, status))

    at, last = told[-1]
    assert 30 <= at <= 32
    assert [progress.stage for _, progress in told] == [Stage.WITHDRAWING, Stage.ENDED]
    assert (last.stage, last.verdict, last.reason.code) == (Stage.ENDED, Verdict.WITHDRAWN, "withdrawn")
    assert last.body
    assert vapi.asked["delete"] == 1
    assert vapi.moments("get")[0] <= vapi.moments("delete")[0]


def test_a_scheduled_call_is_withdrawn_even_if_the_receipt_did_not_say_that_it_waits(vapi: Any) -> None:
    placed = vapi.call(status="scheduled", rings=None, answered=None, ends=None)
    [told] = vapi.follow(placed)
    at, last = ends(told)

    assert 30 <= at <= 32
    assert last.verdict is Verdict.WITHDRAWN


def test_a_blocked_call_that_began_to_ring_is_followed_as_any_other(vapi: Any) -> None:
    [told] = vapi.follow(waiting(vapi, rings=25.0, answered=28.0, ends=60.0))

    assert [progress.stage for _, progress in told] == STAGES
    assert vapi.asked["delete"] == 0


def test_a_blocked_call_that_began_to_ring_unseen_is_not_deleted(vapi: Any) -> None:
    placed = waiting(vapi, rings=29.0, answered=40.0, ends=60.0)
    vapi.calls["c-1"].hidden_from = 5.0
    [told] = vapi.follow(placed)

    assert told[-1][1].stage is Stage.SETTLED
    assert vapi.asked["delete"] == 0


def test_an_older_picture_of_a_ringing_call_does_not_get_it_deleted(vapi: Any) -> None:
    placed = waiting(vapi, rings=20.0, answered=36.0, ends=60.0)
    vapi.calls["c-1"].changes.insert(2, (28.0, {"status": "scheduled"}, True))
    [told] = vapi.follow(placed)

    assert told[-1][1].stage is Stage.SETTLED
    assert vapi.asked["delete"] == 0


def test_an_older_picture_of_a_ringing_call_does_not_get_it_deleted_for_the_user_either(vapi: Any) -> None:
    placed = waiting(vapi, rings=5.0, answered=36.0, ends=60.0)
    vapi.calls["c-1"].changes.insert(2, (8.0, {"status": "scheduled"}, True))
    hung_up(vapi, placed, after=10)

    assert vapi.asked["delete"] == 0


def test_a_delete_is_sent_once_for_each_look_at_the_call(vapi: Any) -> None:
    vapi.answer = lambda kind, at: httpx.Response(503) if kind == "delete" and at < 40 else None
    vapi.follow(waiting(vapi))

    order = [kind for _, kind, _ in vapi.requests if kind in ("get", "delete")]
    assert order[:7] == ["get", *["get", "delete"] * 3]  # the first look says only that it is to be taken back


def test_a_waiting_call_whose_delete_fails_is_followed_until_it_takes(vapi: Any) -> None:
    vapi.answer = lambda kind, at: httpx.Response(503) if kind == "delete" and at < 100 else None
    [told] = vapi.follow(waiting(vapi))

    at, last = ends(told)
    assert at >= 100
    assert last.verdict is Verdict.WITHDRAWN


def test_a_waiting_call_that_rang_after_a_failed_delete_is_followed_to_its_end(vapi: Any) -> None:
    [told] = vapi.follow(waiting(vapi, rings=50.0, answered=55.0, ends=80.0, survives_delete=True))

    assert [progress.stage for _, progress in told] == list(Stage)
    assert ends(told)[1].outcome.status is CallStatus.COMPLETED


def test_a_404_after_our_delete_leaves_the_call_uncertain(vapi: Any) -> None:
    placed = waiting(vapi)

    def erased(kind: str, at: float) -> httpx.Response | None:
        if kind == "delete":
            vapi.calls["c-1"].unknown_until = float("inf")
            vapi.calls["c-1"].hidden_from = at
            return httpx.Response(200, json={})
        return None

    vapi.answer = erased
    [told] = vapi.follow(placed)
    at, last = ends(told)
    assert (last.verdict, last.outcome.status) == (Verdict.LOST, CallStatus.UNCERTAIN)
    assert at <= 35


def test_a_404_after_a_delete_that_was_refused_is_lag_and_the_call_is_not_lost(vapi: Any) -> None:
    placed = waiting(vapi, rings=31.0, answered=50.0, ends=80.0, hidden_from=31.0)

    def refused(kind: str, at: float) -> httpx.Response | None:
        if kind == "delete":
            return httpx.Response(400, json={"message": "the call is not waiting", "statusCode": 400})
        if kind == "get" and 31 < at < 60:
            return httpx.Response(404, json={"message": "Not Found", "statusCode": 404})
        return None

    vapi.answer = refused
    [told] = vapi.follow(placed)
    assert vapi.asked["delete"] == 1
    assert [at for at in vapi.moments("get") if 31 < at < 60]
    assert ends(told)[1].verdict is Verdict.FINAL
    assert told[-1][1].outcome.status is CallStatus.COMPLETED


def test_a_404_after_a_delete_that_may_have_been_carried_out_is_lost_whatever_was_refused_later(vapi: Any) -> None:
    placed = waiting(vapi, hidden_from=31.0)
    replies = [httpx.Response(503), httpx.Response(400, json={"message": "no", "statusCode": 400})]

    def failing(kind: str, at: float) -> httpx.Response | None:
        if kind == "delete":
            if len(replies) == 1:
                vapi.calls["c-1"].unknown_until = float("inf")
            return replies.pop(0)
        return None

    vapi.answer = failing
    [told] = vapi.follow(placed)
    at, last = ends(told)
    assert last.verdict is Verdict.LOST
    assert at <= 50


def test_a_call_that_ended_for_lack_of_lines_has_no_line_and_no_settling(vapi: Any) -> None:
    [told] = vapi.follow(waiting(vapi, ends=10.0, reason=CONCURRENCY, turns=[], analysed=None))

    [(_, last)] = told
    assert (last.stage, last.verdict) == (Stage.ENDED, Verdict.NO_LINE)
    assert last.reason is not None


def test_a_scheduled_call_that_somebody_else_deleted_is_cancelled_for_good(vapi: Any) -> None:
    [told] = vapi.follow(waiting(vapi, ends=10.0, reason="scheduled-call-deleted", turns=[], analysed=None))

    assert (ends(told)[1].verdict, ends(told)[1].outcome.status) == (Verdict.FINAL, CallStatus.CANCELLED)
    assert told[-1][1].stage is Stage.SETTLED


def test_a_waiting_call_is_withdrawn_at_once_when_the_user_hangs_up(vapi: Any) -> None:
    at, last = ends(hung_up(vapi, waiting(vapi), after=3))

    assert 3 <= at <= 5
    assert last.verdict is Verdict.WITHDRAWN


def test_what_the_read_leaves_out_about_waiting_was_said_by_the_receipt(vapi: Any) -> None:
    placed = waiting(vapi, "queued")
    vapi.calls["c-1"].changes[0][1].pop("subscriptionLimits")
    [told] = vapi.follow(placed)

    assert ends(told)[1].verdict is Verdict.WITHDRAWN


# Leaving


def withdrawn(vapi: Any, *placed: Placed, after: float, later: Placed | None = None) -> tuple[set[str], list[Told]]:
    """Follow calls of which those that wait are taken back after so many seconds; `later` is followed after that."""

    async def scenario(backend: VapiBackend) -> tuple[set[str], list[Told]]:
        loop = asyncio.get_running_loop()

        async def told(each: Placed) -> Told:
            return [(round(loop.time(), 3), progress) async for progress in backend.follow(each)]

        following = [asyncio.ensure_future(told(each)) for each in placed]
        await asyncio.sleep(after)
        found = set(backend.withdraw())
        if later is not None:
            following.append(asyncio.ensure_future(told(later)))
        return found, list(await asyncio.gather(*following))

    result: tuple[set[str], list[Told]] = vapi.run(scenario)
    return result


@pytest.mark.parametrize("status", ["scheduled", "queued"])
def test_on_leaving_who_waits_is_withdrawn_at_once_and_who_rings_or_talks_is_left_alone(vapi: Any, status: str) -> None:
    waits = waiting(vapi, status)
    rings = vapi.call("c-2", rings=1, answered=20, ends=40)
    talks = vapi.call("c-3", rings=1, answered=2, ends=40)
    ended = vapi.call("c-4", blocked=True, rings=None, answered=None, ends=2, reason="customer-busy", analysed=None)
    found, told = withdrawn(vapi, waits, rings, talks, ended, after=5)

    assert found == {"c-1"}
    at, last = ends(told[0])
    assert (5 <= at <= 6, last.verdict) == (True, Verdict.WITHDRAWN)
    assert [each[-1][1].outcome.status for each in told[1:]] == [CallStatus.COMPLETED] * 2 + [CallStatus.BUSY]
    assert (vapi.asked["delete"], vapi.asked["control"]) == (1, 0)


def test_on_leaving_a_call_is_withdrawn_too_that_is_followed_only_then(vapi: Any) -> None:
    late = waiting(vapi)
    found, [told] = withdrawn(vapi, after=5, later=late)

    assert (found, told[-1][1].verdict) == (set(), Verdict.WITHDRAWN)
    assert told[-1][0] <= 6


def test_on_leaving_a_call_that_began_to_ring_unseen_is_not_deleted(vapi: Any) -> None:
    placed = waiting(vapi, rings=4.5, answered=20.0, ends=40.0, lag=10.0)
    found, [told] = withdrawn(vapi, placed, after=5)

    assert found == {"c-1"}
    assert [progress.stage for _, progress in told] == STAGES
    assert vapi.asked["delete"] == vapi.asked["control"] == 0
